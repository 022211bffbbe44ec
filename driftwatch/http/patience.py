"""When to ask a server again that did not answer: `retried` waits for it, `Pause` leaves its caller free meanwhile.

A status in `TRANSIENT` is that of a server that may accept the same request later.
"""

import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between attempts for which a thread waits; they double
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # the same for attempts for which no thread waits
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

T = TypeVar("T")


class TryAgain(Exception):
    """A failure that may pass.

    Args:
        reason: Why it failed; the text of the exception.
        after: Seconds that the server asks to wait; `None` where it does not say.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def retried(call: Callable[[float], T], *, attempts: int, until: float) -> T:
    """The result of `call`, once it does not raise `TryAgain`; between attempts this thread waits 0.5, 1, 2 … seconds.

    Args:
        call: Makes one attempt; its argument is the number of seconds that are left.
        attempts: Most attempts to make.
        until: Time by `time.monotonic()` after which no attempt begins. If a wait would end later than this, there is
            no further attempt.

    Raises:
        TryAgain: The last attempt raised it, or no time was left for a first attempt.
    """
    if time.monotonic() >= until:
        raise TryAgain("no time was left")
    usual = FIRST_WAIT

    def wait(err: Exception) -> bool | float:
        if not isinstance(err, TryAgain):
            return False
        seconds = usual if err.after is None else min(err.after, LONGEST_WAIT)
        return seconds if time.monotonic() + seconds < until else False

    # There is no jitter, since it would be drawn from Python's random numbers, which belong to the training.
    patient = _stamina().retry_context(
        wait, attempts=attempts, timeout=None, wait_initial=FIRST_WAIT, wait_max=LONGEST_WAIT, wait_jitter=0
    )
    for attempt in patient:
        usual = attempt.next_wait
        with attempt:
            return call(max(0.0, until - time.monotonic()))
    raise AssertionError("an attempt returns, raises, or is followed by another one")


def _stamina() -> ModuleType:
    """The module stamina, set up so that it does not interfere with the training.

    By default stamina counts retries in Prometheus' default registry, which belongs to the training. If the training
    uses stamina itself, its settings stay.
    """
    is_first = "stamina" not in sys.modules
    import stamina

    if is_first:
        stamina.instrumentation.set_on_retry_hooks(())
    return stamina


class Pause:
    """When a server that did not answer may be asked again: each failure in a row doubles the wait.

    stamina cannot do this, since it sleeps between attempts. The thread that delivers records must not sleep: it writes
    observations and signs of life meanwhile, and asks here whether it is time.

    Args:
        clock: Gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._not_before = clock()

    @property
    def is_over(self) -> bool:
        """Whether the server may be asked now."""
        return self._clock() >= self._not_before

    def failed(self, after: float | None = None) -> None:
        """Note that the server did not answer, or that it asks to be left alone for `after` seconds."""
        self._not_before = self._clock() + min(LONGEST_PAUSE, max(self._pause, after or 0.0))
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def answered(self) -> None:
        """Note that the server answered, so that the next failure counts as the first."""
        self._pause = FIRST_PAUSE

    def end(self) -> None:
        """Let the server be asked now, whatever failed before."""
        self._not_before = self._clock()
