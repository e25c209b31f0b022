"""Work and a function in, its results out: in the order of the work, made ahead of time by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")


def in_order(function: Callable[[Work], Result], work: Iterable[Work], workers: int) -> Iterator[Result]:
    """`function` of every piece of `work`; with `workers` threads, up to twice as many results are made ahead.

    An error of `function` is raised where its result would have come; leaving early abandons what was not begun.
    """
    if workers == 0:
        yield from map(function, work)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="gkm-crops")
    ahead: deque[Future[Result]] = deque()
    try:
        for piece in work:
            ahead.append(pool.submit(function, piece))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
