"""Stopwatch: how long the stages of one observation take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Counts seconds by stage.

    Args:
        clock: Returns monotonic seconds.

    Attributes:
        seconds: Seconds per stage, summed over the blocks that have ended.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the duration of the `with` block to a stage."""
        began = self._clock()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + self._clock() - began
