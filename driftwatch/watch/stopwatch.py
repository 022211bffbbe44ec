"""Stopwatch: how long the stages of one observation take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Counts seconds by stage.

    Args:
        clock: Seconds, monotonic.

    Attributes:
        seconds: By stage, of the blocks that have ended.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the block's time for a stage."""
        began = self._clock()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + self._clock() - began
