"""Decoding: how replies are sampled. Loads no torch, because it is part of the settings."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from driftwatch.documents.checking import check


@dataclass(frozen=True, slots=True)
class Decoding:
    """How replies are sampled, as temperature, top-p and lengths; part of the baseline's identity.

    Raises:
        ConfigError: A value outside its range.
    """

    temperature: Annotated[float, Meta(ge=0, description="0 takes the likeliest token.")] = 0.7
    top_p: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            title="a probability",
            description="Nucleus mass; 1 leaves the distribution whole and saves a sort per token.",
        ),
    ] = 1.0
    max_new_tokens: Annotated[int, Meta(ge=1, description="Longest reply.")] = 24
    batch_size: Annotated[
        int, Meta(ge=1, description="Rows decoded together; halved where memory does not suffice.")
    ] = 32

    def __post_init__(self) -> None:
        check(self)

    def __str__(self) -> str:
        return f"temperature={self.temperature:g} top_p={self.top_p:g} max_new_tokens={self.max_new_tokens}"
