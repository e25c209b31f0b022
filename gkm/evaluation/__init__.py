"""A network and pairs of photographs in, restored photographs and their scores out."""

from gkm.evaluation.protocol import GKM, PROTOCOLS, Protocol, find_protocol
from gkm.evaluation.restoring import Restore, restore_image, restorer
from gkm.evaluation.scores import ImageScore, evaluate, mean_scores
from gkm.evaluation.tensors import to_8bit, to_input, to_tensor
from gkm.evaluation.two_stage import two_stage_restorer

__all__ = [
    "GKM",
    "PROTOCOLS",
    "ImageScore",
    "Protocol",
    "Restore",
    "evaluate",
    "find_protocol",
    "mean_scores",
    "restore_image",
    "restorer",
    "to_8bit",
    "to_input",
    "to_tensor",
    "two_stage_restorer",
]
