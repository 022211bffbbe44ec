"""At which steps to look: pure, so every rank agrees without talking."""

import os
from dataclasses import dataclass

from driftwatch.errors import ConfigError

DISABLED = "DRIFTWATCH_DISABLED"


def looks_are_off() -> bool:
    """Whether the environment turns all looks off; asked at every event, so that a job can turn its own off and on."""
    return os.environ.get(DISABLED, "").strip().lower() in ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Schedule:
    """At which optimizer steps to look, and how much of the wall time that may take.

    Attributes:
        every_steps: Look at every multiple of this.
        at_steps: Look at these too, whatever the budget says.
        early_dense: Look at steps 1, 2, 4, 8 … below `every_steps` as well; most of what changes, changes early.
        budget: Share of wall time that looks may take, in (0, 1), the first look included; `None` for no limit.

    Raises:
        ConfigError: A value outside its range.

    >>> [step for step in range(30) if Schedule(every_steps=10).is_due(step)]
    [1, 2, 4, 8, 10, 20]
    """

    every_steps: int = 100
    at_steps: tuple[int, ...] = ()
    early_dense: bool = True
    budget: float | None = 0.01

    def __post_init__(self) -> None:
        if self.every_steps < 1:
            raise ConfigError(
                f"every_steps={self.every_steps} never looks; give the number of steps between looks, 1 or more."
            )
        if bad := [step for step in self.at_steps if step < 1]:
            raise ConfigError(f"at_steps holds {bad[0]}; steps count from 1. The look before training happens anyway.")
        if self.budget is not None and not 0 < self.budget < 1:
            raise ConfigError(
                f"budget={self.budget} is not a share of wall time; give a number between 0 and 1, for example "
                "0.01 for 1 %, or None (null in a settings file) for no limit."
            )

    def is_due(self, step: int) -> bool:
        """Whether `step`, counted from 1, is a candidate for a look."""
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
        """Looks after the first one, the last included.

        Args:
            begin: Step of the first look.
            end: Step at which training ends; `None` if unknown, and then so is the answer.
        """
        if end is None:
            return None
        regular = max(0, end // self.every_steps - begin // self.every_steps)  # arithmetic: a stream has no end
        early = (1 << exponent for exponent in range(self.every_steps.bit_length()))
        others = {step for step in (*self.at_steps, *filter(self.is_early, early)) if step % self.every_steps}
        return regular + sum(begin < step <= end for step in others) + (not self.is_due(end))
