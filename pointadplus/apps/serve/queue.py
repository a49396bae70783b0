"""One thread that works, and the bounded queue before it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


class QueueFull(Exception):
    """Every slot is taken."""


class WorkQueue:
    """Does one piece of work at a time, in a thread of its own; a bounded number of others hold a slot meanwhile.

    A thread cannot be stopped: work that nobody waits for any more goes on to its end, and keeps its slot and the
    thread until then.

    Args:
        waiting: slots beside the one whose work is done; at least 0.
    """

    def __init__(self, waiting: int) -> None:
        self.slots = waiting + 1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scoring")
        self._lock = Lock()
        self._taken = self._running = self._abandoned = 0

    @property
    def waiting(self) -> int:
        """Slots that are taken and whose work has not begun."""
        return max(0, self._taken - self._running)

    @property
    def abandoned(self) -> int:
        """1 while work is going on that nobody waits for any more, otherwise 0."""
        return self._abandoned

    def enter(self) -> Slot:
        """Take a slot.

        Raises:
            QueueFull: all are taken.
        """
        with self._lock:
            if self._taken >= self.slots:
                raise QueueFull
            self._taken += 1
        return Slot(self)

    def close(self) -> None:
        """Begin nothing more; does not wait for what has begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _count(self, *, taken: int = 0, running: int = 0, abandoned: int = 0) -> None:
        with self._lock:
            self._taken += taken
            self._running += running
            self._abandoned += abandoned


class Slot:
    """A place in a `WorkQueue`, for one piece of work."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._work: Future | None = None

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Have the work done when its turn comes."""

        def counted() -> T:
            self._queue._count(running=1)
            try:
                return work()
            finally:
                self._queue._count(running=-1)

        self._work = self._queue._thread.submit(counted)
        return self._work

    def leave(self) -> None:
        """Give the slot back: at once if the work is over or has not begun, which it then never will; else when it is.

        To be called once.
        """
        if self._work is None or self._work.done() or self._work.cancel():
            self._queue._count(taken=-1)
            return
        self._queue._count(abandoned=1)
        self._work.add_done_callback(lambda _: self._queue._count(taken=-1, abandoned=-1))
