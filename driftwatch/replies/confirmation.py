"""The settings of the confirming stage: how replies are drawn, and who reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from driftwatch.chat.format import Wrap
from driftwatch.errors import ConfigError
from driftwatch.evidence.power import NORMAL_DRAWS, WATCHED_DRAWS
from driftwatch.judges.judge import Judge
from driftwatch.replies.sampling import Decoding

KeepStart = Literal["memory", "disk"]
MIN_DRAWS = 4  # a topic, where the budget is short; fewer say nothing for a look's fixed cost


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How replies are drawn, and who reads them.

    Attributes:
        judge: Object or name, as on the command line: "sides", "nli:MODEL", "endpoint:MODEL@URL".
        decoding: How replies are sampled.
        normal_draws: Draws a topic and look.
        watched_draws: Draws of a topic whose screen or evidence has moved, and of every control then.
        wrap: The user's own training context around every question.
        keep_start: Where switching adapters does not reach the baseline model: keep a copy of the weights in training
            as they were at the start, in the "memory" of the CPU or on "disk" in the run's folder, and ask it for more
            replies when those that were decoded before training run short; `None` keeps none. Costs as much memory, or
            disk, as these weights, and as much again in memory while it is asked.
        keep_replies: Keep every reply and reading in the run's folder, as what an alert rests on.
    """

    judge: str | Judge = "sides"
    decoding: Decoding = field(default_factory=Decoding)
    normal_draws: int = NORMAL_DRAWS
    watched_draws: int = WATCHED_DRAWS
    wrap: Wrap | None = None
    keep_start: KeepStart | None = None
    keep_replies: bool = True

    def __post_init__(self) -> None:
        if self.keep_start not in (None, "memory", "disk"):
            raise ConfigError(f'keep_start is "memory", "disk" or nothing; found {self.keep_start!r}.')
        if not 1 <= self.normal_draws <= self.watched_draws:
            raise ConfigError(
                "a watched topic gets at least as many draws as another, and that is at least one; "
                f"found normal_draws={self.normal_draws} and watched_draws={self.watched_draws}."
            )


def within(counts: Mapping[str, int], limit: int | None) -> dict[str, int]:
    """Counts scaled down to a limit, but not below `MIN_DRAWS` a topic: all topics alike, as controls must keep up."""
    total = sum(counts.values())
    if limit is None or total <= limit:
        return dict(counts)
    return {topic: max(min(MIN_DRAWS, count), count * limit // total) for topic, count in counts.items()}
