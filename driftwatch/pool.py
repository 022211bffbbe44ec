"""Pool: what the baseline model said before training began, where it cannot be asked later.

Items, orders and replies are drawn once, with a reserve for topics that will be watched. Each reply is used once, in
its order; a topic whose replies are used up gets no more evidence.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftwatch.probes.draws import Draw, draw
from driftwatch.probes.ranks import num_ranks
from driftwatch.probes.sampling import Reply
from driftwatch.topics.topic import Topic

logger = logging.getLogger(__name__)

PILOT_REPLIES = 32  # a process, a batch of the default size; by them the time of all is foretold


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
        for reply in replies:
            self._replies.setdefault(reply.topic, []).append(reply)
        self.used: dict[str, int] = dict(used or {})

    def __iter__(self) -> Iterator[BaselineReply]:
        """Topic by topic, in the order in which they will be used."""
        return (reply for replies in self._replies.values() for reply in replies)

    def take(self, counts: Mapping[str, int]) -> tuple[list[Draw], list[BaselineReply], list[str]]:
        """The next draws of each topic, what the baseline said to them, and the topics that had fewer than wanted."""
        taken: list[BaselineReply] = []
        ended = []
        for topic, wanted in counts.items():
            used = self.used.get(topic, 0)
            found = self._replies.get(topic, [])[used : used + wanted]
            self.used[topic] = used + len(found)
            taken += found
            if len(found) < wanted:
                ended.append(topic)
        return [Draw(r.topic, r.item, 1 if r.order else 0) for r in taken], taken, ended


def decoded_before(
    topics: Sequence[Topic],
    looks: int,
    *,
    normal: int,
    watched: int,
    rng: np.random.Generator,
    ask: Callable[[Sequence[Draw]], Sequence[Reply]],
) -> Pool:
    """Draw and decode what the baseline will have said, with a reserve for topics that will be watched.

    Args:
        topics: The bank.
        looks: For how many it shall suffice.
        normal: Draws of a topic and look.
        watched: Draws of a topic that is looked at more closely.
        rng: For items and orders.
        ask: Gives the baseline model's replies.
    """
    draws = draw(topics, wanted_replies(topics, looks, normal=normal, watched=watched), rng)
    logger.info(
        "the baseline model cannot be reached later: decoding its %d replies now, for %d looks%s",
        len(draws),
        looks,
        _forecast(draws, ask),
    )
    return Pool(
        [
            BaselineReply(reply.text, reply.num_tokens, reply.finished, reply.entropy, *asked)
            for asked, reply in zip(draws, ask(draws), strict=True)
        ]
    )


def _forecast(draws: Sequence[Draw], ask: Callable[[Sequence[Draw]], Sequence[Reply]]) -> str:
    """How long they take, from a few that are decoded for nothing else; nothing where they are few anyway."""
    few = PILOT_REPLIES * num_ranks()
    if len(draws) < 10 * few:
        return ""
    began = time.monotonic()
    ask(draws[:few])
    return f", which takes about {(time.monotonic() - began) * len(draws) / few:.0f} s"


def wanted_replies(topics: Sequence[Topic], looks: int, *, normal: int, watched: int) -> dict[str, int]:
    """Replies of each topic that a run of so many looks may need."""
    # A third of the looks watched: more than a quiet run needs, less than one that drifts from its beginning. Of the
    # controls as many as of the topic that gets most, at every look.
    each = looks * normal + -(-looks // 3) * (watched - normal)
    return {topic.id: looks * watched if topic.control else each for topic in topics}
