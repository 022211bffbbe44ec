"""Pool: what the baseline model said before training began, where it cannot be asked later.

Items, orders and replies are drawn ahead, for the planned observations and half as many again, with a reserve for
topics that will be watched; each is used once, in its order. An observation may take what it wants of a topic only as
far as enough is left for the observations to come: a topic that is watched uses up its own reserve and is then asked as
often as any other, and what it takes is taken from no other topic. Where the plan asks for more than can be decoded at
once, less is drawn of every topic and observation in proportion, and topped up later where the start weights are kept
(`start_weights`). Only what lies far beyond the plan uses a topic's replies up; its evidence is then frozen, and the
run says so.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftwatch.host.ranks import num_ranks
from driftwatch.replies.draws import Draw, draw
from driftwatch.replies.sampling import Reply
from driftwatch.topics.topic import Topic

logger = logging.getLogger(__name__)

PILOT_REPLIES = 32  # a process, a batch of the default size; by them the time of all is foretold
TAIL_LOOKS = 10  # beyond all that was planned, what is left of a topic is spread over as many observations
TOP_UP_LOOKS = 20  # that topping up draws for at most
LOW_LOOKS = 2  # of watching left: time to top up, where that can be


@dataclass(frozen=True, slots=True)
class BaselineReply(Reply):
    """One reply of the baseline model, drawn before training, and what it was asked."""

    topic: str
    item: str
    order: int


class Pool:
    """The replies of one run.

    Args:
        replies: In the order in which they will be used.
        used: How many of each topic are, after a resume.
    """

    def __init__(self, replies: Sequence[BaselineReply] = (), used: Mapping[str, int] | None = None) -> None:
        self._replies: dict[str, list[BaselineReply]] = {}
        self.add(replies)
        self.used: dict[str, int] = dict(used or {})

    def __iter__(self) -> Iterator[BaselineReply]:
        """Topic by topic, in the order in which they will be used."""
        return (reply for replies in self._replies.values() for reply in replies)

    def add(self, replies: Sequence[BaselineReply]) -> None:
        """Put further ones behind those that are there."""
        for reply in replies:
            self._replies.setdefault(reply.topic, []).append(reply)

    @property
    def left(self) -> dict[str, int]:
        """Replies that are not used yet, by topic."""
        return {topic: max(len(all_) - self.used.get(topic, 0), 0) for topic, all_ in self._replies.items()}

    def rationed(self, wanted: Mapping[str, int], remaining: int, *, normal: int) -> dict[str, int]:
        """How many of those wanted an observation may take, so that enough is left for the observations to come.

        Args:
            wanted: Draws of each topic.
            remaining: Observations to come, this one included, for which the replies must last; below 1 beyond the
                plan.
            normal: Draws of a topic that nobody watches, which are kept for every observation to come.

        Returns:
            At least one as long as any is left; 0 for a topic whose replies are used up.
        """
        looks = remaining if remaining >= 1 else TAIL_LOOKS
        left = self.left
        allowed = {}
        for topic, number in wanted.items():
            there = left.get(topic, 0)
            kept = normal * (looks - 1)
            allowed[topic] = min(number, max(there - kept, math.ceil(there / looks)))
        return allowed

    def take(self, counts: Mapping[str, int]) -> tuple[list[Draw], list[BaselineReply], list[str]]:
        """The next draws of each topic, what the baseline said to them, and the topics whose replies are used up."""
        taken: list[BaselineReply] = []
        for topic, wanted in counts.items():
            used = self.used.get(topic, 0)
            found = self._replies.get(topic, [])[used : used + wanted]
            self.used[topic] = used + len(found)
            taken += found
        left = self.left
        ended = [topic for topic in counts if not left.get(topic, 0)]
        return [Draw(r.topic, r.item, 1 if r.order else 0) for r in taken], taken, ended


def decoded(
    topics: Sequence[Topic],
    counts: Mapping[str, int],
    *,
    why: str,
    rng: np.random.Generator,
    ask: Callable[[Sequence[Draw]], Sequence[Reply]],
) -> list[BaselineReply]:
    """Draw and decode what the baseline says to so many questions of each topic.

    Args:
        topics: The bank.
        counts: By topic.
        why: For the log: why now, and for how long they last.
        rng: For items and orders.
        ask: Gives the baseline model's replies.
    """
    draws = draw(topics, counts, rng)
    logger.info("%s%s", why.format(number=len(draws)), _forecast(draws, ask))
    return [
        BaselineReply(reply.text, reply.num_tokens, reply.finished, reply.entropy, *asked, missing=reply.missing)
        for asked, reply in zip(draws, ask(draws), strict=True)
    ]


def _forecast(draws: Sequence[Draw], ask: Callable[[Sequence[Draw]], Sequence[Reply]]) -> str:
    """How long they take, from a few that are decoded for nothing else; nothing where they are few anyway."""
    few = PILOT_REPLIES * num_ranks()
    if len(draws) < 10 * few:
        return ""
    began = time.monotonic()
    ask(draws[:few])
    return f", which takes about {(time.monotonic() - began) * len(draws) / few:.0f} s"
