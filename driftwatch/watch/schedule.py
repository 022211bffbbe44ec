"""Schedule: the steps at which to observe. It is pure arithmetic, so that all ranks agree without communication."""

import os
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from driftwatch.documents.checking import check

DISABLED = "DRIFTWATCH_DISABLED"


def looks_are_off() -> bool:
    """Whether the environment turns observations off; read at every event, so that a running job can change it."""
    return os.environ.get(DISABLED, "").strip().lower() in ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Schedule:
    """At which optimizer steps to observe, and how much of the wall time that may take.

    Raises:
        ConfigError: A value outside its range.

    >>> [step for step in range(30) if Schedule(every_steps=10).is_due(step)]
    [1, 2, 4, 8, 10, 20]
    """

    every_steps: Annotated[int, Meta(ge=1, description="Observe at every multiple of this.")] = 100
    at_steps: Annotated[
        tuple[Annotated[int, Meta(ge=1, description="Counted from 1.")], ...],
        Meta(description="Observe at these too, whatever the budget says; the one before training happens anyway."),
    ] = ()
    early_dense: Annotated[
        bool,
        Meta(description="Observe at steps 1, 2, 4, 8 … below `every_steps` too; most of what changes, changes early."),
    ] = True
    budget: Annotated[
        float | None,
        Meta(
            gt=0,
            lt=1,
            title="a share of wall time",
            description="Share of wall time that observations may take, including the first; `None` for no limit.",
        ),
    ] = 0.01

    def __post_init__(self) -> None:
        check(self)

    def is_due(self, step: int) -> bool:
        """Whether `step`, counted from 1, is a candidate for an observation."""
        if step < 1:
            return False
        return step % self.every_steps == 0 or step in self.at_steps or self.is_early(step)

    def is_early(self, step: int) -> bool:
        """Whether `step` is one of the dense early steps: a power of two below `every_steps`."""
        return self.early_dense and 1 <= step < self.every_steps and step & (step - 1) == 0

    def num_early_from(self, step: int) -> int:
        """How many dense early steps come at or after `step`."""
        powers = (1 << exponent for exponent in range(self.every_steps.bit_length()))
        return sum(self.is_early(power) and power >= step for power in powers)

    def planned_looks(self, begin: int, end: int | None) -> int | None:
        """Number of observations after the first one, including the last; `None` if the end is unknown.

        Args:
            begin: Step of the first observation.
            end: Step at which training ends; `None` if unknown.
        """
        if end is None:
            return None
        regular = max(0, end // self.every_steps - begin // self.every_steps)  # arithmetic: a stream has no end
        early = (1 << exponent for exponent in range(self.every_steps.bit_length()))
        others = {step for step in (*self.at_steps, *filter(self.is_early, early)) if step % self.every_steps}
        return regular + sum(begin < step <= end for step in others) + (not self.is_due(end))
