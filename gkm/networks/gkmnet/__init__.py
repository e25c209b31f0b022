"""GKMNet (Quan, Wu and Ji, NeurIPS 2021): what the other rooms may ask of it."""

from gkm.networks.gkmnet.complexity import operations
from gkm.networks.gkmnet.export import export_form
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.inspection import kernels, view
from gkm.networks.gkmnet.kernels import gaussian_bank
from gkm.networks.gkmnet.official import load_official
from gkm.networks.gkmnet.strips import restore_by_strips
from gkm.networks.network import Kind

__all__ = ["KIND", "GKMNet", "gaussian_bank"]

KIND = Kind(
    build=GKMNet,
    load_official=load_official,
    restore_by_strips=restore_by_strips,
    look_inside=view,
    kernels=kernels,
    operations=operations,
    export_form=export_form,
)
