"""The scenes that photographs show in; which photographs count as one sample out."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

FEW_SCENES = 6
"""From so many scenes on each is averaged first; fewer are no sample, and their photographs are taken one by one."""


def scene_groups(scenes: Sequence[str]) -> list[list[int]]:
    """Photographs, by index, that count as one: those of a scene, where there are FEW_SCENES or more; else each alone.

    Several photographs of one scene are not several samples. A verdict on fewer scenes is about these scenes.
    """
    found: dict[str, list[int]] = {}
    for index, scene in enumerate(scenes):
        found.setdefault(scene, []).append(index)
    return list(found.values()) if len(found) >= FEW_SCENES else [[index] for index in range(len(scenes))]


def by_scene(scores: Sequence[float], scenes: Sequence[str]) -> list[float]:
    """Means of `scores` over what counts as one, by `scene_groups`."""
    return [fmean(scores[index] for index in group) for group in scene_groups(scenes)]
