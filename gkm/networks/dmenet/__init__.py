"""DMENet (Lee et al., CVPR 2019): what the other rooms may ask of it."""

from gkm.networks.dmenet.dmenet import DMENet
from gkm.networks.dmenet.inspection import export_form, view
from gkm.networks.dmenet.official import load_official
from gkm.networks.dmenet.strips import restore_by_strips
from gkm.networks.network import Kind

__all__ = ["KIND", "DMENet"]

KIND = Kind(
    build=DMENet,
    load_official=load_official,
    restore_by_strips=restore_by_strips,
    look_inside=view,
    export_form=export_form,
)
