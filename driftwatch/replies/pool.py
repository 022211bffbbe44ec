"""Pool: replies that the baseline model gave before training, for runs that cannot ask it later.

Items, orders and replies are drawn ahead for the planned observations and half as many again, with a reserve for
topics that will be watched. Each reply is used once, in order. An observation may take what it wants on a topic only
if enough is left for the observations to come: a watched topic uses up its own reserve, takes nothing from another
topic, and is then asked as often as any other. If the plan asks for more than can be decoded at once, every topic and
observation gets proportionally less, and the pool is topped up later if the start weights are kept (`start_weights`).
A topic's replies run out only far beyond the plan; its evidence is then frozen, and the run says so.
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

PILOT_REPLIES = 32  # per process: one batch of the default size, whose time predicts the time of all
TAIL_LOOKS = 10  # beyond the plan, what is left of a topic is spread over so many observations
TOP_UP_LOOKS = 20  # most observations that one top-up draws for
LOW_LOOKS = 2  # when replies are left for fewer observations of a watched topic, the pool is topped up


@dataclass(frozen=True, slots=True)
class BaselineReply(Reply):
    """One reply of the baseline model from before training, with the question that it answers."""

    topic: str
    item: str
    order: int


class Pool:
    """The pool of one run.

    Args:
        replies: The replies, in the order in which they will be used.
        used: For a resumed run, the number of replies that are already used, by topic.
    """

    def __init__(self, replies: Sequence[BaselineReply] = (), used: Mapping[str, int] | None = None) -> None:
        self._replies: dict[str, list[BaselineReply]] = {}
        self.add(replies)
        self.used: dict[str, int] = dict(used or {})

    def __iter__(self) -> Iterator[BaselineReply]:
        """All replies, topic by topic, in the order in which they will be used."""
        return (reply for replies in self._replies.values() for reply in replies)

    def add(self, replies: Sequence[BaselineReply]) -> None:
        """Append further replies."""
        for reply in replies:
            self._replies.setdefault(reply.topic, []).append(reply)

    @property
    def left(self) -> dict[str, int]:
        """Number of unused replies, by topic."""
        return {topic: max(len(all_) - self.used.get(topic, 0), 0) for topic, all_ in self._replies.items()}

    def rationed(self, wanted: Mapping[str, int], remaining: int, *, normal: int) -> dict[str, int]:
        """How many of the wanted draws an observation may make, so that enough is left for the observations to come.

        Args:
            wanted: Draws wanted, by topic.
            remaining: Observations for which the replies must still last, this one included; below 1 beyond the plan.
            normal: Draws per observation on a topic that is not watched; so many are kept for each one to come.

        Returns:
            Draws by topic: at least one as long as any reply is left; 0 for a topic whose replies are used up.
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
    """The baseline's replies to so many random questions of each topic, freshly decoded.

    Args:
        topics: The bank.
        counts: Number of replies, by topic.
        why: For the log: why they are decoded now, and for how many observations; `{number}` is filled in.
        rng: Random numbers for items and orders.
        ask: Gives the baseline model's replies.
    """
    draws = draw(topics, counts, rng)
    logger.info("%s%s", why.format(number=len(draws)), _forecast(draws, ask))
    return [
        BaselineReply(reply.text, reply.num_tokens, reply.finished, reply.entropy, *asked, missing=reply.missing)
        for asked, reply in zip(draws, ask(draws), strict=True)
    ]


def _forecast(draws: Sequence[Draw], ask: Callable[[Sequence[Draw]], Sequence[Reply]]) -> str:
    """How long decoding will take, measured on a few replies that are thrown away; empty if there are few anyway."""
    few = PILOT_REPLIES * num_ranks()
    if len(draws) < 10 * few:
        return ""
    began = time.monotonic()
    ask(draws[:few])
    return f", which takes about {(time.monotonic() - began) * len(draws) / few:.0f} s"
