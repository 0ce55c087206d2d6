"""Let a piece of work end before Ctrl-C takes effect. (Source: ours.)"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class _Held:
    """Stand for the handler of SIGINT: count, and interrupt only after more than `most` times."""

    def __init__(self, most: float) -> None:
        self.count, self.most = 0, most

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > self.most:
            raise KeyboardInterrupt


@contextmanager
def interrupt_held_back() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed inside the block.

    The block ends its work and asks at places where it can stop. A second Ctrl-C interrupts at
    once. Outside the main thread, and where somebody else handles SIGINT, nothing is changed.
    """
    with _held(1) as held:
        yield lambda: held.count > 0


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Do a short piece of work to its end: Ctrl-C, however often, takes effect behind the block."""
    before = signal.getsignal(signal.SIGINT)
    with _held(math.inf) as held:
        yield
    if held.count and callable(before):
        before(signal.SIGINT, None)


@contextmanager
def _held(most: float) -> Iterator[_Held]:
    held, before = _Held(most), signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler or isinstance(before, _Held)
    if not ours or threading.current_thread() is not threading.main_thread():
        yield held
        return
    signal.signal(signal.SIGINT, held)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)
