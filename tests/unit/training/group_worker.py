"""One of several processes that train together, for `test_worker_groups.py`: `python group_worker.py RANK SIZE FOLDER`.

FOLDER/task.json names the data set and, for every run, the settings that differ; results go to FOLDER/RANK.json.
"""

import copy
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gkm.config import TrialConfig
from gkm.training.context import GroupContext
from gkm.training.course import lookout
from gkm.training.course.leaving import Left
from gkm.training.epoch import Trainer
from gkm.training.group import GlobalBatchNorm2d, with_global_statistics
from gkm.training.group.exchange import Exchange, SharedMemoryExchange, exchange_for, gathered
from gkm.training.store import open_store
from gkm.trial import run_trial


class After:
    """Asks to leave once so many steps were taken (None: never); `Watched` counts them."""

    def __init__(self, steps: int | None = None) -> None:
        self.steps, self.taken = steps, 0

    def __call__(self) -> bool:
        return self.steps is not None and self.taken >= self.steps


def trained(config: TrialConfig, data: str, context: Any, cache: str, after: After | None = None) -> dict[str, Any]:
    """What a trial gives on this worker: the loss of each step over all workers, the history, a hash of all weights.

    Without a history where it left early, as `after` told its context.
    """
    counted = after or After()
    losses: list[float] = []
    own: list[float] = []
    hashes: list[str] = []

    class Watched(Trainer):
        def _step(self, *arguments: Any) -> Any:
            loss = super()._step(*arguments)
            own.append(float(loss))
            counted.taken += 1
            return loss

        def train(self, *arguments: Any, **options: Any) -> None:
            own.clear()
            try:
                super().train(*arguments, **options)
            finally:
                losses.extend(loss / context.world_size for loss in context.sum(own))
                weights = [part.numpy().tobytes() for part in self._model.state_dict().values()]
                hashes.append(hashlib.sha256(b"".join(weights)).hexdigest())

    from gkm.training import loop

    loop.Trainer = Watched  # type: ignore[misc]
    history: Any = ()
    try:
        history = run_trial(config, data, context, cache=cache).history
    except Left:
        pass
    finally:
        loop.Trainer = Trainer  # type: ignore[misc]
    return {"losses": losses, "history": history, "hashes": hashes}


def check_exchange(size: int) -> None:
    """On this machine it is by memory, deep copies included; more than it is made for goes another way."""
    exchange = exchange_for(torch.device("cpu"), 16)
    if SharedMemoryExchange.is_possible():
        assert isinstance(copy.deepcopy(exchange), SharedMemoryExchange)
    for number in range(200):
        share = torch.full((2, 1 + 3 * (number % 3 == 1)), float(torch.distributed.get_rank() + number))
        expected = torch.stack([torch.full_like(share, float(rank + number)) for rank in range(size)])
        assert torch.equal(exchange(share), expected)


def check_batch_norm(rank: int, size: int, exchange: Exchange | None, *, scaled: bool = True) -> None:
    """Results, gradients and running statistics of all shares are those of one batch norm of the whole batch."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(2 * size, 3, 5, 4, generator=generator, dtype=torch.float64) * 3 + 100
    factors = torch.randn(whole.shape, generator=generator, dtype=torch.float64)
    reference = nn.BatchNorm2d(3, momentum=0.01).double()
    nn.init.normal_(reference.weight, generator=generator)
    nn.init.normal_(reference.bias, generator=generator)
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=0.01)).double()
    if not scaled:
        reference.weight = network[0].weight = None
    network[0].load_state_dict(reference.state_dict())
    with_global_statistics(network)
    assert isinstance(network[0], GlobalBatchNorm2d)
    if exchange:
        network[0].exchange = exchange
    assert list(network.state_dict()) == [f"0.{name}" for name in reference.state_dict()]
    share = slice(2 * rank, 2 * rank + 2)
    for layout in (torch.contiguous_format, torch.channels_last):
        x, own = whole.clone().requires_grad_(), whole[share].to(memory_format=layout).requires_grad_()
        normed, expected = network(own), reference(x)
        torch.testing.assert_close(normed, expected[share])
        for part in (network, reference):
            part.zero_grad()
        (expected.tanh() * factors).sum().backward()
        (normed.tanh() * factors[share]).sum().backward()
        torch.testing.assert_close(own.grad, x.grad[share])
        for mine, other in zip(network.parameters(), reference.parameters(), strict=True):
            torch.distributed.all_reduce(mine.grad)
            torch.testing.assert_close(mine.grad, other.grad)
    for mine, other in zip(network.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(mine, other)
    network.eval(), reference.eval()
    torch.testing.assert_close(network(whole), reference(whole))


def main(rank: int, size: int, folder: Path) -> None:
    """All that the task asks for, in order."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
    task = json.loads((folder / "task.json").read_text())
    if "store" in task:
        lookout.LOOK_SECONDS = 0.0  # after every step: these take no time
    else:
        check_exchange(size)
        for exchange in (None, gathered):
            for scaled in (True, False):
                check_batch_norm(rank, size, exchange, scaled=scaled)
    results = {}
    for name, settings in task["runs"].items():
        # The last worker is asked to leave, and takes the others along.
        after = After(task.get("leave_after") if rank == size - 1 else None)
        store = open_store(task.get("store", str(folder / name)))
        context = GroupContext(store, rank, size, torch.device("cpu"), leaving=after)
        config = TrialConfig.from_dict(task["base"]).with_values(settings)
        results[name] = trained(config, task["data"], context, task["cache"], after)
    (folder / f"{rank}.json").write_text(json.dumps(results))
    torch.distributed.destroy_process_group()
    # Python's end would now and then be an abort: a thread of gloo's may still hold a tensor (pytorch/pytorch#179291).
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
