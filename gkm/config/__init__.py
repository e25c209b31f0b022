"""Frozen, validated settings of a trial; see `gkm.config.trial`."""

from gkm.config.attnet import AttNetConfig
from gkm.config.base import Input, NetworkConfig, Settings
from gkm.config.dmenet import DMENetConfig
from gkm.config.dpdnet import DPDNetConfig
from gkm.config.gkmnet import GKMNetConfig
from gkm.config.networks import AnyNetworkConfig, network_kinds, register_settings, settings_class
from gkm.config.nrknet import NRKNetConfig
from gkm.config.sections import DataConfig, LossConfig, OptimConfig, TrainingConfig
from gkm.config.srn import SRNConfig
from gkm.config.trial import TrialConfig, network_from_dict, parse_assignments, setting_paths

ModelConfig = GKMNetConfig
"""Another name, from when GKMNet was the only network."""

__all__ = [
    "AnyNetworkConfig",
    "AttNetConfig",
    "DMENetConfig",
    "DPDNetConfig",
    "DataConfig",
    "GKMNetConfig",
    "Input",
    "LossConfig",
    "ModelConfig",
    "NRKNetConfig",
    "NetworkConfig",
    "OptimConfig",
    "SRNConfig",
    "Settings",
    "TrainingConfig",
    "TrialConfig",
    "network_from_dict",
    "network_kinds",
    "parse_assignments",
    "register_settings",
    "setting_paths",
    "settings_class",
]
