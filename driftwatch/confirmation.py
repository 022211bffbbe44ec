"""The settings of the confirming stage: how replies are drawn, and who reads them."""

from dataclasses import dataclass, field

from driftwatch.drift.planning import NORMAL_DRAWS, WATCHED_DRAWS
from driftwatch.errors import ConfigError
from driftwatch.judges.judge import Judge
from driftwatch.probes.prompt import Wrap
from driftwatch.probes.sampling import Decoding


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How replies are drawn, and who reads them.

    Attributes:
        judge: Object or name, as on the command line: "sides", "nli:MODEL", "endpoint:MODEL@URL".
        decoding: How replies are sampled.
        normal_draws: Draws a topic and look.
        watched_draws: Draws of a topic whose screen or evidence has moved, and of every control then.
        wrap: The user's own training context around every question.
        keep_replies: Keep every reply and reading in the run's folder, as what an alert rests on.
    """

    judge: str | Judge = "sides"
    decoding: Decoding = field(default_factory=Decoding)
    normal_draws: int = NORMAL_DRAWS
    watched_draws: int = WATCHED_DRAWS
    wrap: Wrap | None = None
    keep_replies: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.normal_draws <= self.watched_draws:
            raise ConfigError(
                "a watched topic gets at least as many draws as another, and that is at least one; "
                f"found normal_draws={self.normal_draws} and watched_draws={self.watched_draws}."
            )
