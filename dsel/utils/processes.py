"""Work spread over processes of which any may die: it takes along the one job it was at, and nothing else.

A decoder that meets a broken file may bring its process down, or the system ends one that takes too much memory. A single
`ProcessPoolExecutor` of many workers is broken as a whole by that, and does not say by which job. Here every worker is a pool
of its own with one job at a time, so whose process died is known and nobody else's is touched. (Source: ours.)
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack

import tqdm
import tqdm.auto

# Fork where it is the custom: nothing is imported again, and it works from a notebook and from a script on stdin.
START = "fork" if sys.platform == "linux" else "spawn"


def spread(
    jobs: Iterable,
    work: Callable,
    workers: int,
    *,
    lost: Callable,
    say: Callable[[str], None],
    name: Callable = str,
    start: str | None = None,
) -> Iterator[tuple]:
    """(job, work(job)) of every job as they get done, by so many processes.

    Args:
        jobs, work: what is to be done and the function that does it; they are pickled.
        workers: how many processes at most.
        lost: job -> what stands for its result if the process died on it twice, the second time with nothing beside it.
        say: is given a line for a process that died, and one if none can be started: then this process does the work.
        name: job -> what `say` calls it.
        start: 'fork', 'spawn' or 'forkserver'; None: `START`.
    What `work` raises is raised here, and ends all of it once the jobs begun are done.
    """
    waiting, again, busy = deque(jobs), [], {}
    before_fork()
    with ExitStack() as crew:
        free = _hired(crew, 1, start)  # the first is waited for: that none can be started is then said once
        if free and free[0].came_up():
            free += _hired(crew, min(workers, len(waiting)) - 1, start)
        else:
            free = []
        while busy or (free and waiting):
            while free and waiting:
                worker, job = free.pop(), waiting.popleft()
                busy[worker.ask(work, job)] = worker, job
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                worker, job = busy.pop(future)
                if not _died(future):
                    free.append(worker)
                    yield job, future.result()
                elif worker.came_up():
                    again.append(job)
                    say(f"{name(job)}: the process that was at it died; it is tried once more, alone, after the others")
                    free += _hired(crew, 1, start)
                else:  # it has not seen the job
                    waiting.appendleft(job)
    for job in again:
        with ExitStack() as crew:
            futures = [worker.ask(work, job) for worker in _hired(crew, 1, start)]
            yield job, futures[0].result() if futures and not _died(futures[0]) else lost(job)
    if waiting:
        say("no process can be started beside this one; the work goes on in this one alone")
    for job in waiting:
        yield job, work(job)


def before_fork() -> None:
    """Free what nobody needs while its threads are there, so that little is left for the time before `in_worker`."""
    gc.collect()


def in_worker(*_) -> None:
    """To be called first in every process that was started to work for this one.

    What it inherited stays as it is. The filters of PyAV's resamplers have threads, which a fork does not copy; a worker
    whose garbage collector freed them would wait for them for ever. And it draws bars under a lock of its own, for the one
    inherited is shared, and stays taken if its holder dies.
    """
    gc.freeze()
    lock = threading.RLock()
    for bars in (tqdm.tqdm, tqdm.auto.tqdm):  # each class may hold one
        bars.set_lock(lock)


def refuse_to_be_read_again() -> None:
    """End this process if it was only started to work for another, and is reading the user's script for that.

    Where processes are spawned, each reads the main script again. Without `if __name__ == "__main__":` around what the script
    does, it would do all of it again.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # what multiprocessing itself looks at
        sys.exit('this script does its work again in every process it starts; put it under if __name__ == "__main__":')


class _Worker:
    """One process, that does one job at a time."""

    def __init__(self, start: str | None):
        self.pool = ProcessPoolExecutor(1, multiprocessing.get_context(start or START), initializer=_begin)
        self._up = self.pool.submit(_nothing)

    def came_up(self) -> bool:
        """Whether the process could be started at all; waits until that is known."""
        return self._up.exception() is None

    def ask(self, work: Callable, job) -> Future:
        """The result to come. A process that is dead already is found out by it too."""
        try:
            return self.pool.submit(work, job)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
            return future


def _hired(crew: ExitStack, count: int, start: str | None) -> list[_Worker]:
    """So many new workers, or as many as the system allows; they go when the crew does."""
    found = []
    for _ in range(count):
        try:
            found.append(_Worker(start))
        except (OSError, ImportError, NotImplementedError):  # no memory, no more processes; no semaphores on this system
            break
        crew.callback(found[-1].pool.shutdown, wait=True, cancel_futures=True)
    return found


def _died(future: Future) -> bool:
    """Whether a job's process was gone before it had a result; waits for either."""
    return isinstance(future.exception(), BrokenProcessPool)


def _nothing() -> None:
    """What a worker does first, to show that it is there."""


def _begin() -> None:
    in_worker()
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """End this process when the one it works for is gone."""
    multiprocessing.parent_process().join()
    os._exit(1)
