"""Wall time of a run: how long it has trained and been observed, over all its attempts, and how fast it trains.

Pauses do not count. Otherwise a process that was frozen for a night (SIGSTOP, a suspended machine, a debugger) would
come back with a night's allowance for observations, or with an observation that seems to have taken a night. What tells
a pause from a long step, such as an evaluation or a checkpoint, is that the process did nothing during a pause.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

# A gap longer than this many steps at the pace so far may be a pause. Chosen: evaluations take longer, and stalls of a
# data loader are shorter.
LONG = 20.0
# A process that waits for a GPU spins or launches kernels. One that used less than this share of one core did not run.
BUSY_SHARE = 0.02


class Passed(NamedTuple):
    """Time that a run has taken so far, in seconds; a resumed run goes on from it.

    Attributes:
        training: Time outside of driftwatch.
        watching: Time in driftwatch: observations, and the preparation for them at each start.
    """

    training: float = 0.0
    watching: float = 0.0


@dataclass(slots=True)
class WallTime:
    """The clock of one run in one process.

    Attributes:
        clock: Returns monotonic seconds.
        worked: Returns the seconds of processor time that this process has used.
        before: Time that earlier attempts have taken.
    """

    clock: Callable[[], float] = time.monotonic
    worked: Callable[[], float] = time.process_time
    before: Passed = field(default_factory=Passed)
    _training: float = field(init=False)
    _watching: float = field(init=False)
    _seen: tuple[float, float] = field(init=False)  # clock and processor time at the latest step
    _watched_since: float = field(default=0.0, init=False)
    _first: tuple[int, float] | None = field(default=None, init=False)  # step, and seconds trained by then
    _step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._training, self._watching = self.before
        self._seen = self.clock(), self.worked()

    @property
    def passed(self) -> Passed:
        """Seconds of the whole run until now."""
        return Passed(self._training + self._open(self.clock(), self._step), self._watching)

    @property
    def elapsed(self) -> float:
        """Seconds of the whole run until now, observations included."""
        return sum(self.passed)

    def step(self, step: int) -> None:
        """Note that training has reached a step; call this at every step."""
        now = self.clock()
        self._training += self._open(now, step)
        self._seen, self._watched_since, self._step = (now, self.worked()), 0.0, step
        if self._first is None:
            # The pace counts from the end of the first step, since that step compiles, allocates and fills caches.
            self._first = step, self._training

    def watched(self, seconds: float, expected: float | None = None) -> None:
        """Add time that was spent in driftwatch.

        Args:
            seconds: Seconds by the clock.
            expected: Seconds to expect by earlier observations, to recognise a pause; `None` if unknown.
        """
        if expected is not None and seconds > LONG * expected > 0 and not self._was_busy(self.clock()):
            self._watching += LONG * expected
        else:
            self._watching += seconds
        self._watched_since += seconds

    def pace(self, step: int) -> float | None:
        """Mean seconds of a training step in this attempt, without observations; `None` before two steps have ended."""
        if self._first is None or step <= self._first[0]:
            return None
        first, training = self._first
        return (self.passed.training - training) / (step - first)

    def _open(self, now: float, step: int) -> float:
        """Seconds of training since the latest call of `step`, without a pause."""
        gap = max(0.0, now - self._seen[0] - self._watched_since)
        if self._first is None or self._step <= self._first[0] or self._was_busy(now):
            return gap
        first, training = self._first
        pace = (self._training - training) / (self._step - first)
        return min(gap, LONG * pace * max(1, step - self._step)) if pace > 0 else gap

    def _was_busy(self, now: float) -> bool:
        clock, worked = self._seen
        return self.worked() - worked >= BUSY_SHARE * (now - clock)
