"""A search space and a data set in; what the study will cost, before it starts, out."""

from __future__ import annotations

from dataclasses import dataclass

from gkm.data.manifest import read_manifest
from gkm.study.space import SearchSpace


@dataclass(frozen=True)
class StudyPlan:
    """The size of a study."""

    trials: int
    epochs: int
    rungs: tuple[int, ...]
    """Epochs at which trials that lag behind are stopped."""
    reduction_factor: float
    train_photos: int
    validation_photos: int
    crops_per_epoch: int
    parameters: dict[str, str]

    @property
    def most_trial_epochs(self) -> int:
        """Epochs if no trial were stopped."""
        return self.trials * self.epochs

    @property
    def expected_trial_epochs(self) -> int:
        """Epochs if each rung keeps its share."""
        alive, before, total = float(self.trials), 0, 0.0
        for rung in (*self.rungs, self.epochs):
            total += alive * (rung - before)
            alive, before = max(1.0, alive / self.reduction_factor), rung
        return round(total)

    def lines(self) -> list[str]:
        """The plan, ready to print."""
        rungs = ", ".join(str(rung) for rung in self.rungs)
        return [
            f"plan: {self.trials} trials of at most {self.epochs} epochs; laggards stop at epoch {rungs}",
            f"each epoch: {self.crops_per_epoch} crops from {self.train_photos} photographs, "
            f"validated on {self.validation_photos}",
            f"trial epochs: about {self.expected_trial_epochs}, at most {self.most_trial_epochs}",
            *(f"  {path}: {values}" for path, values in self.parameters.items()),
        ]


def make_plan(space: SearchSpace, data: str) -> StudyPlan:
    """The plan of a study of `space` on the data set at `data`.

    Raises InputError where the data set is missing, or has no photographs to train or to validate on.
    """
    manifest = read_manifest(data)
    for split in ("train", "validation"):
        manifest.require(split, data)
    epochs, rungs, rung = space.base.training.epochs, [], float(space.first_rung_epochs)
    while rung < epochs:
        rungs.append(round(rung))
        rung *= space.reduction_factor
    return StudyPlan(
        trials=space.trials,
        epochs=epochs,
        rungs=tuple(rungs),
        reduction_factor=space.reduction_factor,
        train_photos=manifest.count("train"),
        validation_photos=manifest.count("validation"),
        crops_per_epoch=manifest.count("train") * space.base.data.crops_per_photo,
        parameters={path: str(parameter) for path, parameter in space.parameters.items()},
    )
