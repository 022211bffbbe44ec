"""When to ask a server again that did not answer: `retried` waits for it, `Pause` leaves its caller free meanwhile."""

import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds after a failure, doubling, where a thread waits for the next attempt
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # the same where nobody waits
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses of a server that may take the same later

T = TypeVar("T")


class TryAgain(Exception):
    """A failure that may pass.

    Args:
        reason: Its text.
        after: Seconds that the server asks to wait; `None` where it does not say.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def retried(call: Callable[[float], T], *, attempts: int, until: float) -> T:
    """What `call` gives once it does not raise `TryAgain`. Between attempts this thread waits 0.5, 1, 2 … seconds.

    Args:
        call: Is given the seconds that are left.
        attempts: At most.
        until: `time.monotonic()` after which no attempt begins; where a wait would end later, there is none.

    Raises:
        TryAgain: The last attempt did, or no time was left for a first one.
    """
    if time.monotonic() >= until:
        raise TryAgain("no time was left")
    usual = FIRST_WAIT

    def wait(err: Exception) -> bool | float:
        if not isinstance(err, TryAgain):
            return False
        seconds = usual if err.after is None else min(err.after, LONGEST_WAIT)
        return seconds if time.monotonic() + seconds < until else False

    # No jitter: it is drawn from Python's random numbers, which are the training's.
    patient = _stamina().retry_context(
        wait, attempts=attempts, timeout=None, wait_initial=FIRST_WAIT, wait_max=LONGEST_WAIT, wait_jitter=0
    )
    for attempt in patient:
        usual = attempt.next_wait
        with attempt:
            return call(max(0.0, until - time.monotonic()))
    raise AssertionError("an attempt returns, raises, or is followed by another one")


def _stamina() -> ModuleType:
    """stamina, as a guest in somebody's training has to use it.

    Unless told otherwise it counts retries in Prometheus' default registry, which is the training's own. Where the
    training uses stamina itself, what it has chosen stays.
    """
    is_first = "stamina" not in sys.modules
    import stamina

    if is_first:
        stamina.instrumentation.set_on_retry_hooks(())
    return stamina


class Pause:
    """When a server that did not answer may be asked again: each failure in a row doubles the wait.

    stamina has no part in it, since it sleeps between attempts, and the thread that delivers records must not: it
    writes observations and signs of life meanwhile, and asks here whether it is time.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._not_before = clock()

    @property
    def is_over(self) -> bool:
        """Whether it may be asked now."""
        return self._clock() >= self._not_before

    def failed(self, after: float | None = None) -> None:
        """It did not answer, or asks to be left alone for some seconds."""
        self._not_before = self._clock() + min(LONGEST_PAUSE, max(self._pause, after or 0.0))
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def answered(self) -> None:
        """It did: the next failure is a first one."""
        self._pause = FIRST_PAUSE

    def end(self) -> None:
        """It may be asked now, whatever it has failed."""
        self._not_before = self._clock()
