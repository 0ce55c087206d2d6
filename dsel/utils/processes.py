"""Work spread over processes, any of which may die and takes its own job along, and nothing else.

A decoder that meets a broken file may bring its process down, or the system ends a process that
takes too much memory. That breaks a `ProcessPoolExecutor` of many workers as a whole, and it does
not say whose job it was. Here every worker is a pool of its own with one job at a time, so that is
known, and nobody else's job is touched. (Source: ours.)
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
from typing import Any

import tqdm
import tqdm.auto

# Fork where it is the custom: nothing is imported again, and it works from a notebook and from a
# script on stdin.
START = "fork" if sys.platform == "linux" else "spawn"
HELD: dict[int, object] = {}  # what a forked process must not free, by its id


def spread(
    jobs: Iterable,
    work: Callable[[Any], Any],
    workers: int,
    *,
    lost: Callable[[Any], Any],
    say: Callable[[str], object],
    name: Callable[[Any], object] = str,
    start: str | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Yield (job, work(job)) of every job as they get done, by several processes.

    What `work` raises is raised here, and ends all of it once the jobs begun are done.

    Args:
        jobs, work: what is to be done, and the function that does it; they are pickled.
        workers: how many processes at most.
        lost: job -> what stands for its result if the process died on it twice, the second time
            with nothing beside it.
        say: is given a line for a process that died. It is given one, too, if no process can be
            started; then this one does the work.
        name: job -> what `say` calls it.
        start: 'fork', 'spawn' or 'forkserver'; None: `START`.
    """
    waiting, again = deque(jobs), []
    busy: dict[Future, tuple[_Worker, Any]] = {}
    before_fork()
    with ExitStack() as crew:
        # The first one is waited for, so that it is said once if none can be started.
        free = [worker for worker in _hired(crew, 1, start) if worker.came_up()]
        free += _hired(crew, min(workers, len(waiting)) - 1, start) if free else []
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
                    say(f"{name(job)}: its process died; it is tried once more, alone, at the end")
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
    """Leave little that a forked process would free; such freeing waits for threads it has not.

    Garbage is collected while its threads are there. And PyAV (19) keeps a reformatter, which has
    threads, for each thread that converts a frame. A fork frees those of all threads but its own,
    so what PyAV keeps is held here too, for good: one small object a thread.
    """
    gc.collect()
    frames = sys.modules.get("av.video.frame")
    for kept in gc.get_referents(getattr(frames, "_thread_local", None)):
        for values in kept.values() if isinstance(kept, dict) else ():
            if isinstance(values, dict) and (reformatter := values.get("reformatter")):
                HELD[id(reformatter)] = reformatter


def in_worker(*_: object) -> None:
    """Make a process that was started to work for this one safe; to be called first in it.

    What it inherited stays as it is. The filters of PyAV's resamplers have threads, which a fork
    does not copy, and a worker whose garbage collector freed them would wait for those for ever.
    Bars get a lock of its own. The one inherited is shared, and stays taken if its holder dies.
    torch makes its pool of threads anew after a fork, at the first use. Two threads that do so at
    once fail ("Invalid thread pool"), so it is done here, before there are others.
    """
    gc.freeze()
    lock = threading.RLock()
    for bars in (tqdm.tqdm, tqdm.auto.tqdm):  # each class may hold one
        bars.set_lock(lock)
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.set_num_threads(torch.get_num_threads())


def refuse_to_be_read_again() -> None:
    """End this process if it is one that reads the user's script only to work for another.

    Where processes are spawned, each reads the main script again. Without `if __name__ ==
    "__main__":` around what the script does, it would do all of it again.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing does
        sys.exit(
            'each process does this script again; put its work under if __name__ == "__main__":'
        )


class _Worker:
    """One process, which does one job at a time."""

    def __init__(self, start: str | None) -> None:
        context = multiprocessing.get_context(start or START)
        self.pool = ProcessPoolExecutor(1, context, initializer=_begin)
        self._up = self.pool.submit(_nothing)

    def came_up(self) -> bool:
        """Return whether the process could be started at all; waits until that is known."""
        return self._up.exception() is None

    def ask(self, work: Callable[[Any], Any], job: Any) -> Future:
        """Return the result to come. It also tells of a process that is dead already."""
        try:
            return self.pool.submit(work, job)
        except BrokenProcessPool as error:
            future: Future = Future()
            future.set_exception(error)
            return future


def _hired(crew: ExitStack, count: int, start: str | None) -> list[_Worker]:
    """Start so many workers, or as many as the system allows; they go when the crew does."""
    found: list[_Worker] = []
    for _ in range(count):
        try:
            found.append(_Worker(start))
        except (OSError, ImportError, NotImplementedError):  # no memory; no semaphores here
            break
        crew.callback(found[-1].pool.shutdown, wait=True, cancel_futures=True)
    return found


def _died(future: Future) -> bool:
    """Return whether a job's process was gone before there was a result; waits for either."""
    return isinstance(future.exception(), BrokenProcessPool)


def _nothing() -> None:
    """Do nothing: what a worker does first, to show that it is there."""


def _begin() -> None:
    in_worker()
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """End this process when the one that it works for is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
