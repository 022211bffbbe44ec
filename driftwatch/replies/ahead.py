"""DecodedAhead: supplies the baseline's replies in a run that cannot ask its baseline model during training.

They are decoded before training for the planned observations and half as many again (`pool`), rationed so that they
last, and topped up with the start weights if the user lets those be kept (`start_weights`).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from driftwatch.errors import ConfigError, ProbeError
from driftwatch.evidence.reserve import at_once, horizon, planned_replies
from driftwatch.evidence.state import Settings
from driftwatch.host.identity import same_model
from driftwatch.host.ranks import is_known_to_all, on_first
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.pool import (
    LOW_LOOKS,
    TAIL_LOOKS,
    TOP_UP_LOOKS,
    BaselineReply,
    Pool,
    decoded,
)
from driftwatch.replies.sampler import Fingerprint
from driftwatch.replies.sampling import Reply
from driftwatch.replies.start_weights import StartWeights
from driftwatch.replies.supply import Ask, Chosen, Rng
from driftwatch.topics.topic import Topic

logger = logging.getLogger(__name__)

ITEMS, SAMPLED = 13, 14  # last part of a generator's key, distinct from those of `supply`


class DecodedAhead:
    """The supply of one run whose baseline replies are decoded ahead.

    Args:
        settings: How replies are drawn.
        topics: The bank.
        evidence: What was fixed when the run began: which topics are drawn, and for how many observations.
        ask: Decodes replies; called inside the guard, on every rank.
        rng: Makes a random generator for a key.
        tell_apart: Gives a fingerprint by which a model is recognised later.
    """

    def __init__(
        self,
        settings: Confirmation,
        topics: Sequence[Topic],
        evidence: Settings,
        *,
        ask: Ask,
        rng: Rng,
        tell_apart: Fingerprint,
    ) -> None:
        self._settings = settings
        self._topics = [topic for topic in topics if topic.id in evidence.names]
        self._evidence = evidence
        self._ask, self._rng, self._tell_apart = ask, rng, tell_apart
        self._start: StartWeights | None = None
        self._fresh: list[BaselineReply] = []
        self.pool = Pool()
        self.start_print: tuple[float, ...] = ()  # a fingerprint of the start, if its weights are kept

    def begin(self, model: Any, folder: Path, *, is_written_elsewhere: bool) -> None:
        """Decode the baseline's replies ahead, and keep the start weights if the settings ask for it.

        Args:
            model: The model at the start of training, inside the guard.
            folder: The run's folder.
            is_written_elsewhere: Whether an engine with its own weights writes the replies.

        Raises:
            ConfigError: The settings ask to keep the start weights, and they cannot be kept.
        """
        if (how := self._settings.keep_start) is not None:
            if is_written_elsewhere:
                raise ConfigError(
                    f'keep_start="{how}" asks the start weights in this process, and the replies of this run are '
                    "written by vLLM, which has the present ones. Leave keep_start out, or have the replies sampled "
                    "in-process."
                )
            self._start = StartWeights.keep(model, how, folder)
            self.start_print = self._tell_apart(model)
        looks = horizon(self._evidence.planned_looks)
        wanted = self._planned(looks)
        counts = at_once(wanted)
        part = sum(counts.values()) / max(sum(wanted.values()), 1)
        fewer = "" if part == 1 else f", {part:.0%} of what those would ask for, so that each gets fewer"
        why = (
            f"the baseline model cannot be reached later: decoding its {{number}} replies now, for {looks} observations"
        )
        self.pool.add(self._decoded(model, counts, (0, 0), why=why + fewer))

    def resume(
        self,
        replies: Sequence[BaselineReply],
        used: Mapping[str, int],
        *,
        start_print: tuple[float, ...],
        folder: Path,
    ) -> None:
        """Go on from what an earlier attempt left."""
        self.pool, self.start_print = Pool(replies, used), start_print
        if start_print:
            self._start = StartWeights.kept(folder)

    @property
    def left(self) -> dict[str, int]:
        """Number of unused replies, by topic."""
        return self.pool.left

    @property
    def used(self) -> dict[str, int]:
        """Number of used replies, by topic."""
        return dict(self.pool.used)

    @used.setter
    def used(self, used: dict[str, int]) -> None:
        self.pool.used = dict(used)

    @property
    def decoded(self) -> Sequence[BaselineReply]:
        """All replies, topic by topic, in the order in which they are used."""
        return tuple(self.pool)

    def fingerprint(self, model: Any) -> tuple[float, ...]:
        """Empty, since the baseline model is not asked any more."""
        return ()

    def rationed(self, counts: Mapping[str, int], read_before: int) -> dict[str, int]:
        """How many of the wanted draws an observation may make, so that enough is left for the observations to come.

        Args:
            counts: Draws wanted, by topic.
            read_before: Number of observations whose replies were judged.
        """
        # A pool that can be topped up need not last for all observations that are still to come.
        remaining = 1 if self._start is not None else self._looks_left(read_before)
        rationed = self.pool.rationed(counts, remaining, normal=self._settings.normal_draws)
        # Controls are compared draw by draw with the topic that gets the most draws, and need no more than that.
        values = [rationed[name] for name in self._evidence.topics if name in rationed]
        most = max(values, default=self._settings.watched_draws)
        return {name: min(n, most) if name in self._evidence.controls else n for name, n in rationed.items()}

    def top_up(self, model: Any, *, attempt: int, observation: int, read_before: Callable[[], int]) -> None:
        """Decode more replies with the start weights if a topic's replies run short; on every rank, inside the guard.

        If that fails, the error is logged once, topping up ends, and the replies that are left are rationed.

        Args:
            model: The model in training.
            attempt: The run's attempt number; with `observation`, the key of fresh random numbers.
            observation: The observation's number.
            read_before: Returns the number of observations whose replies were judged; called on rank 0.
        """
        # Only rank 0 counts used replies; the other ranks take its numbers.
        number, self.used = on_first(lambda: (read_before(), self.used), "counting the baseline's replies")
        start, left = self._start, self.pool.left
        low = LOW_LOOKS * self._settings.watched_draws
        if start is None or all(left.get(topic.id, 0) >= low for topic in self._topics):
            return
        wanted = self._planned(min(max(self._looks_left(number), TAIL_LOOKS), TOP_UP_LOOKS))
        missing = {name: number - left.get(name, 0) for name, number in wanted.items() if number > left.get(name, 0)}
        try:
            with start.active(model) as began:
                self._check(began)
                why = "the baseline's replies run short: decoding {number} more by the weights of the start"
                replies = self._decoded(began, at_once(missing), (attempt, observation), why=why)
        except Exception as err:
            if not is_known_to_all(err):  # the ranks must not differ in whether they ask for more
                raise
            logger.warning("the baseline's replies cannot be topped up, what is left is rationed: %s", err)
            self._start = None
            return
        self.pool.add(replies)
        self._fresh += replies

    def choose(self, counts: Mapping[str, int], fingerprint: tuple[float, ...], key: tuple[int, int]) -> Chosen:
        """The next replies of each topic, with the questions that they answer."""
        draws, taken, ended = self.pool.take(counts)
        why = f"the baseline's replies for {', '.join(ended)} are used up; their evidence is frozen" if ended else None
        return Chosen(draws, taken, why, tuple(ended))

    def replies(self, model: Any, chosen: Chosen, key: tuple[int, int]) -> Sequence[Reply]:
        """The replies that were decoded ahead for these questions."""
        return chosen.ahead

    @property
    def fresh(self) -> tuple[BaselineReply, ...]:
        """Added replies that the run's files do not have yet, even if their observation was abandoned."""
        return tuple(self._fresh)

    def handed_over(self) -> None:
        """Note that the run's files now get the fresh replies."""
        self._fresh = []

    def _planned(self, looks: int) -> dict[str, int]:
        normal, watched = self._settings.normal_draws, self._settings.watched_draws
        return planned_replies(self._topics, looks, normal=normal, watched=watched)

    def _looks_left(self, look: int) -> int:
        """Number of observations for which the replies must last, this one included; below 1 beyond the plan."""
        return horizon(self._evidence.planned_looks) - look

    def _check(self, began: Any) -> None:
        if not same_model(self.start_print, self._tell_apart(began)):
            raise ProbeError("with the weights of the start the model is not what it was at the start.")

    def _decoded(self, model: Any, counts: Mapping[str, int], key: tuple[int, int], *, why: str) -> list[BaselineReply]:
        return decoded(
            self._topics,
            counts,
            why=why,
            rng=self._rng(*key, ITEMS),
            ask=lambda draws: self._ask(model, draws, (*key, SAMPLED)),
        )
