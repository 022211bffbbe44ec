"""A first observation that failed: training goes on, and the run begins at a later step that is due.

What the user can fix (settings, a pack, a baseline) raises before the first update. A model that cannot be asked just
now is different: memory may be short for a moment, or its forward may refuse an input until it has been trained for a
step.
"""

from dataclasses import dataclass, field

TRIES = 5  # attempts at a first observation, the one before the first update included; then nothing is watched


@dataclass(slots=True)
class LateStart:
    """What has become of the first observation of one training.

    Attributes:
        tries: How often it failed.
        step: The step at which it failed first.
        cause: Why it failed last.
        told: Causes that were reported already.
    """

    tries: int = 0
    step: int = 0
    cause: str = ""
    told: set[str] = field(default_factory=set)

    @property
    def is_wanted(self) -> bool:
        """Whether the run has not begun and must be tried again at the next step that is due."""
        return 0 < self.tries < TRIES

    def failed(self, step: int, err: Exception) -> str | None:
        """Count a failure, and return what to report about it; `None` if that was reported already."""
        self.step = step if self.tries == 0 else self.step
        self.tries += 1
        self.cause = f"{type(err).__name__}: {err}"
        is_new = self.cause not in self.told
        self.told.add(self.cause)
        if self.tries >= TRIES:
            return (
                f"the first observation failed {self.tries} times, last at step {step}; nothing is watched in this "
                f"training, which goes on: {self.cause}"
            )
        if not is_new:
            return None
        return (
            f"the first observation failed at step {step}; training goes on, and it is tried again at the next steps "
            f"that are due, {TRIES} times in all: {self.cause}"
        )

    def note(self, step: int) -> tuple[str, ...]:
        """A sentence for the reader of a run that begins late; empty if it begins when training does."""
        if self.tries == 0:
            return ()
        return (
            f'the first observation failed at step {self.step}: {self.cause}; the baseline "start" is step {step}, '
            "and what moved before it is not seen",
        )
