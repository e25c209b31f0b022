"""Processes that promote versions at once, or are killed on the way; run as a program by test_promotion_processes.

Libraries are imported once, then the process forks: what is tested is what happens between processes, not their start.
"""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from gkm.errors import InputError
from gkm.registry import history, ledger, promote, promotion
from gkm.registry.gates import Gates
from gkm.tracking import Tracking
from tests.unit.registry.measurements import measured

WRITES = {
    "create_run", "log_batch", "log_inputs", "log_param", "set_registered_model_alias", "set_registered_model_tag",
    "set_model_version_tag", "update_model_version",
}  # fmt: skip


def in_a_child(work: Callable[[], str]) -> tuple[int, int]:
    """Forks; the child writes what `work` returns to the pipe whose reading end is returned after its process id."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            answer = work()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode()[:4000])
        os._exit(0)
    os.close(writing)
    return child, reading


def answer_of(child: int, reading: int) -> str:
    """What a child wrote; "killed" where it was."""
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else said


def promoting(uri: str, version: int, wait: Callable[[], object] = int) -> str:
    """Promotes a version that is surely better; `wait` is how long it takes to measure it."""

    def measure(tracking: Tracking, number: int, opponent: int | None, *_: Any, **__: Any) -> Any:
        wait()
        return measured(number, opponent, [1.0] * 6, clean=None)

    promotion.measure = measure
    try:
        promote(Tracking(uri), "d", version=version, gates=Gates())
    except InputError as error:
        return f"refused: {error}"
    return "promoted"


def killed_after(writes: int, uri: str, version: int) -> str:
    """The same, killed before its write number `writes`; says how many there were if it was not."""
    count, call = 0, Tracking.call

    def counted(self: Tracking, operation: str, *arguments: Any, **keywords: Any) -> Any:
        nonlocal count
        if operation in WRITES:
            if count == writes:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
        return call(self, operation, *arguments, **keywords)

    Tracking.call = counted  # type: ignore[method-assign]
    return f"{promoting(uri, version)} {count}"


def reading(uri: str, until: str) -> str:
    """Asks for the champion again and again until the file `until` is there; what went wrong, or how often it asked."""
    client, asked, seen = Tracking(uri).client, 0, []
    while not os.path.exists(until):
        found = client.get_registered_model("gkmnet").aliases.get("champion")
        if found is None:
            return f"no champion after {asked}"
        seen += [found] if [found] != seen[-1:] else []
        asked += 1
        time.sleep(0.005)
    return f"asked {asked} times: {' '.join(map(str, seen))}"


def prepare(uri: str, versions: int) -> None:
    """A registry with so many versions, the first one champion."""
    tracking = Tracking(uri, artifacts=None)
    ledger.ensure(tracking)
    for _ in range(versions):
        tracking.client.create_model_version("gkmnet", "s3://nowhere/nothing")
    tracking.client.set_registered_model_alias("gkmnet", "champion", "1")


def at_once(uri: str, stop: str, count: int) -> None:
    """Promotes versions 2 to `count` + 1 at the same moment, a reader looking on; prints what each said."""
    in_a_fork(lambda: prepare(uri, count + 1))
    reader = in_a_child(lambda: reading(uri, stop))
    all_are_measured = multiprocessing.get_context("fork").Barrier(count)
    children = [
        in_a_child(lambda number=number: promoting(uri, number, all_are_measured.wait))  # type: ignore[misc]
        for number in range(2, count + 2)
    ]
    answers = [answer_of(*child) for child in children]
    with open(stop, "w"):
        pass
    print(json.dumps({"answers": answers, "reader": answer_of(*reader)}))


def killed_everywhere(uri: str, stop: str) -> None:
    """Promotes versions 2, 3, ..., each killed one write later, until one is not; what stood before and after each."""
    in_a_fork(lambda: prepare(uri, 40))
    reader = in_a_child(lambda: reading(uri, stop))
    steps = []
    for number in range(2, 40):
        answer = answer_of(*in_a_child(lambda n=number: killed_after(n - 2, uri, n)))  # type: ignore[misc]
        state = answer_of(*in_a_child(lambda: looked_at(uri)))
        steps.append({"version": number, "answer": answer, **json.loads(state)})
        if answer != "killed":
            break
    with open(stop, "w"):
        pass
    print(json.dumps({"steps": steps, "reader": answer_of(*reader)}))


def looked_at(uri: str) -> str:
    """The aliases as a process left them, and after the next command, which here asks for the history."""
    tracking = Tracking(uri)
    before = tracking.client.get_registered_model("gkmnet").aliases
    happened = [(event["event"], event["version"]) for event in history.events(tracking)]
    after = tracking.client.get_registered_model("gkmnet").aliases
    return json.dumps({"before": before, "after": after, "happened": happened[-1] if happened else None})


def in_a_fork(work: Callable[[], object]) -> None:
    """Does `work` in a process of its own: this one, which forks, must have no connection open."""
    said = answer_of(*in_a_child(lambda: str(work())))
    assert said == "None", said


if __name__ == "__main__":
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401

    match sys.argv[1:]:
        case ["at-once", uri, stop, count]:
            at_once(uri, stop, int(count))
        case ["killed", uri, stop]:
            killed_everywhere(uri, stop)
