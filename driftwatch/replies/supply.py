"""Supply: where the baseline's replies come from, so that both models have answered the same questions.

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

ITEMS, NOW, BASELINE = range(10, 13)  # parts of a generator's key, apart from the run's and those of `ahead`
CHANGED = "the baseline model is not what it was when the run began, so the evidence is frozen"

Ask = Callable[[Any, Sequence[Draw], tuple[int, ...]], Sequence[Reply]]  # of a model, with a key of random numbers
Rng = Callable[..., np.random.Generator]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one observation asks.

    Attributes:
        draws: The questions.
        ahead: What the baseline said to them, where that was decoded before training.
        why: What limits the evidence; `None` where nothing does.
        ended: Topics whose replies of the baseline are used up.
    """

    draws: list[Draw]
    ahead: Sequence[Reply] = ()
    why: str | None = None
    ended: tuple[str, ...] = ()


class Supply(Protocol):
    """The baseline's replies of one run."""

    @property
    def left(self) -> dict[str, int] | None:
        """Replies that are not used yet, by topic; `None` where the model is asked on demand."""
        ...

    @property
    def used(self) -> dict[str, int]:
        """Replies that are used, by topic; empty where the model is asked on demand."""
        ...

    @used.setter
    def used(self, used: dict[str, int]) -> None: ...

    @property
    def decoded(self) -> Sequence[BaselineReply]:
        """All that were decoded ahead."""
        ...

    @property
    def start_print(self) -> tuple[float, ...]:
        """A fingerprint of the start, where its weights are kept; empty otherwise."""
        ...

    def fingerprint(self, model: Any) -> tuple[float, ...]:
        """What tells now whether the baseline model still is what it was; empty where it is not asked any more."""
        ...

    def top_up(self, model: Any, *, attempt: int, observation: int, read_before: Callable[[], int]) -> None:
        """Get more of them where they run short; inside the guard, on every rank alike."""
        ...

    def rationed(self, counts: Mapping[str, int], read_before: int) -> dict[str, int]:
        """How many of the draws that an observation wants it may make."""
        ...

    def choose(self, counts: Mapping[str, int], fingerprint: tuple[float, ...], key: tuple[int, int]) -> Chosen:
        """What is asked now; on rank 0."""
        ...

    def replies(self, model: Any, chosen: Chosen, key: tuple[int, int]) -> Sequence[Reply]:
        """What the baseline says to what was chosen; inside the guard, on every rank."""
        ...

    @property
    def fresh(self) -> tuple[BaselineReply, ...]:
        """Replies that were added and that the run's files do not have yet, be it for observations abandoned since."""
        ...

    def handed_over(self) -> None:
        """The run's files get them now."""
        ...


class AskedOnDemand:
    """The baseline model is asked at each observation, as long as it is what it was when the run began.

    Args:
        reference: Reaches it inside the model in training.
        topics: The bank.
        ask: Has replies sampled; inside the guard, on every rank.
        rng: A generator for a key of its own.
        tell_apart: Measures a model so that it is known again.
        known_as: Its fingerprint.
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
        """Of the baseline model now; inside the guard, on every rank."""
        with self._reference.active(model) as referred:
            return self._tell_apart(referred)

    def top_up(self, model: Any, *, attempt: int, observation: int, read_before: Callable[[], int]) -> None:
        """Nothing runs short here."""

    def rationed(self, counts: Mapping[str, int], read_before: int) -> dict[str, int]:
        """All that is wanted."""
        return dict(counts)

    def choose(self, counts: Mapping[str, int], fingerprint: tuple[float, ...], key: tuple[int, int]) -> Chosen:
        """Fresh questions; none where the baseline model is not what it was."""
        is_same = same_model(self._known_as, fingerprint)
        draws = draw(self._topics, counts if is_same else {}, self._rng(*key, ITEMS))
        return Chosen(draws, why=None if is_same else CHANGED)

    def replies(self, model: Any, chosen: Chosen, key: tuple[int, int]) -> Sequence[Reply]:
        """Asks the baseline model."""
        with self._reference.active(model) as referred:
            return self._ask(referred, chosen.draws, (*key, BASELINE))

    @property
    def fresh(self) -> tuple[BaselineReply, ...]:
        """None are kept."""
        return ()

    def handed_over(self) -> None:
        """Nothing was."""
