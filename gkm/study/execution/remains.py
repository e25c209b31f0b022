"""The room that a group of workers has; given back where the process that had asked for it was killed.

Ray keeps a placement group until the whole job ends, or until the actor removes it that made it: Ray Train's
controller. Ray Train's own cleaner asks Ray's dashboard whether that one lives, which is not everywhere.
"""

from __future__ import annotations

import uuid
from typing import Any

from ray.train.v2._internal.execution.callback import WorkerGroupCallback

_NAMESPACE = "gkm-room"


class Remains(WorkerGroupCallback):  # type: ignore[misc,unused-ignore]
    """Notes in Ray's own store which room the group of one run has. The notes are made in the controller's process."""

    def __init__(self) -> None:
        self._key = uuid.uuid4().bytes

    def after_worker_group_start(self, worker_group: Any) -> None:
        """Called whenever a group has started: the first, and each in the place of one that lost workers."""
        from ray.experimental.internal_kv import _internal_kv_put

        room = worker_group.get_worker_group_state().placement_group_handle.placement_group
        _internal_kv_put(self._key, room.id.binary(), overwrite=True, namespace=_NAMESPACE)

    def clear(self) -> None:
        """Give back what a controller left that no longer lives; nothing where it had left nothing."""
        from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get
        from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

        noted = _internal_kv_get(self._key, namespace=_NAMESPACE)
        if noted is None:
            return
        from ray._raylet import PlacementGroupID

        room = PlacementGroup(PlacementGroupID(noted))
        if placement_group_table(room).get("state", "REMOVED") != "REMOVED":
            remove_placement_group(room)
        _internal_kv_del(self._key, namespace=_NAMESPACE)
