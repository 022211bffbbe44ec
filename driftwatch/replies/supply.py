"""Supply: where the baseline's replies come from; they answer the same questions as the model in training.

Where switching adapters reaches the baseline model, it is asked at each observation (`AskedOnDemand`). Where it does
not, its replies are decoded before training (`ahead.DecodedAhead`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from driftwatch.host.adapters import Reference
from driftwatch.host.identity import same_model
from driftwatch.replies.draws import Draw, draw
from driftwatch.replies.pool import BaselineReply
from driftwatch.replies.sampler import Fingerprint
from driftwatch.replies.sampling import Reply
from driftwatch.topics.topic import Topic

ITEMS, NOW, BASELINE = range(10, 13)  # last part of a generator's key, distinct from those of the run and of `ahead`
CHANGED = "the baseline model is not what it was when the run began, so the evidence is frozen"

Ask = Callable[[Any, Sequence[Draw], tuple[int, ...]], Sequence[Reply]]  # takes a model, draws and a generator's key
Rng = Callable[..., np.random.Generator]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one observation asks.

    Attributes:
        draws: The questions.
        ahead: The baseline's replies to them, if they were decoded before training; otherwise empty.
        why: What limits the evidence; `None` if nothing does.
        ended: Topics whose baseline replies are used up.
    """

    draws: list[Draw]
    ahead: Sequence[Reply] = ()
    why: str | None = None
    ended: tuple[str, ...] = ()


class Supply(Protocol):
    """The source of the baseline's replies in one run."""

    @property
    def left(self) -> dict[str, int] | None:
        """Number of unused replies, by topic; `None` if the baseline model is asked on demand."""
        ...

    @property
    def used(self) -> dict[str, int]:
        """Number of used replies, by topic; empty if the baseline model is asked on demand."""
        ...

    @used.setter
    def used(self, used: dict[str, int]) -> None: ...

    @property
    def decoded(self) -> Sequence[BaselineReply]:
        """All replies that were decoded ahead."""
        ...

    @property
    def start_print(self) -> tuple[float, ...]:
        """A fingerprint of the start, if its weights are kept; empty otherwise."""
        ...

    def fingerprint(self, model: Any) -> tuple[float, ...]:
        """The baseline model's present fingerprint, which shows whether it has changed; empty if it is not asked."""
        ...

    def top_up(self, model: Any, *, attempt: int, observation: int, read_before: Callable[[], int]) -> None:
        """Get more replies if they run short; inside the guard, on every rank."""
        ...

    def rationed(self, counts: Mapping[str, int], read_before: int) -> dict[str, int]:
        """How many of the wanted draws an observation may make, by topic."""
        ...

    def choose(self, counts: Mapping[str, int], fingerprint: tuple[float, ...], key: tuple[int, int]) -> Chosen:
        """The questions to ask now; on rank 0."""
        ...

    def replies(self, model: Any, chosen: Chosen, key: tuple[int, int]) -> Sequence[Reply]:
        """The baseline's replies to the chosen questions; inside the guard, on every rank."""
        ...

    @property
    def fresh(self) -> tuple[BaselineReply, ...]:
        """Added replies that the run's files do not have yet, even if their observation was abandoned."""
        ...

    def handed_over(self) -> None:
        """Note that the run's files now get the fresh replies."""
        ...


class AskedOnDemand:
    """The supply of a run that asks its baseline model at each observation, as long as that model has not changed.

    Args:
        reference: Reaches the baseline model inside the model in training.
        topics: The bank.
        ask: Has replies sampled; called inside the guard, on every rank.
        rng: Makes a random generator for a key.
        tell_apart: Gives a fingerprint by which a model is recognised later.
        known_as: The baseline model's fingerprint when the run began.
    """

    left = None
    decoded: Sequence[BaselineReply] = ()
    start_print: tuple[float, ...] = ()

    def __init__(
        self,
        reference: Reference,
        topics: Sequence[Topic],
        *,
        ask: Ask,
        rng: Rng,
        tell_apart: Fingerprint,
        known_as: tuple[float, ...],
    ) -> None:
        self._reference, self._topics = reference, topics
        self._ask, self._rng, self._tell_apart = ask, rng, tell_apart
        self._known_as = known_as
        self.used: dict[str, int] = {}

    def fingerprint(self, model: Any) -> tuple[float, ...]:
        """The baseline model's present fingerprint; inside the guard, on every rank."""
        with self._reference.active(model) as referred:
            return self._tell_apart(referred)

    def top_up(self, model: Any, *, attempt: int, observation: int, read_before: Callable[[], int]) -> None:
        """Does nothing, since replies do not run short here."""

    def rationed(self, counts: Mapping[str, int], read_before: int) -> dict[str, int]:
        """All draws that are wanted."""
        return dict(counts)

    def choose(self, counts: Mapping[str, int], fingerprint: tuple[float, ...], key: tuple[int, int]) -> Chosen:
        """Fresh random questions; none if the baseline model has changed."""
        is_same = same_model(self._known_as, fingerprint)
        draws = draw(self._topics, counts if is_same else {}, self._rng(*key, ITEMS))
        return Chosen(draws, why=None if is_same else CHANGED)

    def replies(self, model: Any, chosen: Chosen, key: tuple[int, int]) -> Sequence[Reply]:
        """Fresh replies of the baseline model; inside the guard, on every rank."""
        with self._reference.active(model) as referred:
            return self._ask(referred, chosen.draws, (*key, BASELINE))

    @property
    def fresh(self) -> tuple[BaselineReply, ...]:
        """Empty, since no replies are kept ahead."""
        return ()

    def handed_over(self) -> None:
        """Does nothing, since no replies are kept ahead."""
