"""What has to be right before a study makes anything: a design and a data set in, a refusal out."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from gkm.config import TrialConfig
from gkm.data.dataset.dataset import Dataset, open_dataset
from gkm.data.photos import TRIAL_SPLITS
from gkm.errors import InputError
from gkm.study.design.design import Design
from gkm.study.design.space import SearchSpace
from gkm.study.execution.workers import WorkerGroup


def check_design(design: Design, data: Dataset | str, workers: WorkerGroup) -> Dataset:
    """The data set (at) `data`, opened, if every setting of `design` can be trained on it.

    Raises InputError where the data set is missing, has no photographs to train or validate on or lacks views that a
    network sees, where its smallest photograph is smaller than a crop, a batch cannot be divided among the workers, or
    their precision needs GPUs and they get none.
    """
    dataset = open_dataset(data)
    dataset.require(*TRIAL_SPLITS)
    for config in _extremes(design):
        workers.check(config)
        dataset.require(*TRIAL_SPLITS, inputs=config.model.inputs)
        dataset.refuse_crops(config.data.crop_pixels)
    return dataset


def _extremes(design: Design) -> Iterable[TrialConfig]:
    """The base, and settings in which the precision, or a setting of the data or of the network, is an extreme one."""
    yield design.base
    if not isinstance(design, SearchSpace):
        yield from (design.config(values) for values in design.settings.values())
        return
    for path in ("data.crop_pixels", "data.batch_size", "training.precision"):
        if path in design.parameters:
            # The pair alone decides here; a space as a whole was checked when it was made.
            for option in design.parameters[path].extremes():
                section, _, name = path.partition(".")
                changed = getattr(design.base, section).model_copy(update={name: option})
                yield design.base.model_copy(update={section: changed})
    for path, parameter in design.parameters.items():
        if path.startswith("model."):
            for option in parameter.extremes():
                with suppress(InputError):  # options that do not go together are refused in the study
                    yield design.config(design.around(path, option))
