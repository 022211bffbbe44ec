"""Confirmation: the settings of the confirming stage, which say how replies are drawn and who judges them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from driftwatch.chat.wrap import Wrap
from driftwatch.documents.checking import check
from driftwatch.errors import ConfigError
from driftwatch.evidence.power import NORMAL_DRAWS, WATCHED_DRAWS
from driftwatch.judges.judge import Judge
from driftwatch.replies.decoding import Decoding

KeepStart = Literal["memory", "disk"]
MIN_DRAWS = 4  # fewest draws per topic when the budget is short; fewer are not worth an observation's fixed cost


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How replies are drawn, and who judges them.

    Raises:
        ConfigError, PluginError: A setting that cannot work.
    """

    judge: Annotated[
        str | Judge,
        Meta(description='A judge by name, as on the command line: "sides", "nli:MODEL", "endpoint:MODEL@URL".'),
    ] = "sides"
    decoding: Annotated[Decoding, Meta(examples=[{"temperature": 0.7}], description="How replies are sampled.")] = (
        field(default_factory=Decoding)
    )
    normal_draws: Annotated[int, Meta(ge=1, description="Draws per topic and observation.")] = NORMAL_DRAWS
    watched_draws: Annotated[
        int,
        Meta(
            ge=1,
            description="Draws of a topic whose screen or evidence has moved, and of every control then.",
        ),
    ] = WATCHED_DRAWS
    wrap: Annotated[
        Wrap | None,
        Meta(examples=[{"system": "Be brief."}], description="The user's own training context around every question."),
    ] = None
    keep_start: Annotated[
        KeepStart | None,
        Meta(
            description="Where switching adapters does not reach the baseline model: keep a copy of the weights in "
            'training as they were at the start, in the "memory" of the CPU or on "disk" in the run\'s folder, and ask '
            "it for more replies when those that were decoded before training run short; `None` keeps none. Costs as "
            "much memory, or disk, as these weights, and as much again in memory while it is asked."
        ),
    ] = None
    keep_replies: Annotated[
        bool, Meta(description="Keep every reply and judgement in the run's folder, to show what an alert rests on.")
    ] = True

    def __post_init__(self) -> None:
        check(self)
        if self.normal_draws > self.watched_draws:
            raise ConfigError(
                f"expected watched_draws to be at least normal_draws, found {self.watched_draws} and "
                f"{self.normal_draws}. Give a watched topic at least as many draws as another."
            )


def within(counts: Mapping[str, int], limit: int | None) -> dict[str, int]:
    """Counts scaled down to a limit, not below `MIN_DRAWS` per topic; all topics alike, so that controls keep up."""
    total = sum(counts.values())
    if limit is None or total <= limit:
        return dict(counts)
    return {topic: max(min(MIN_DRAWS, count), count * limit // total) for topic, count in counts.items()}
