"""Reserve: how many replies of the baseline a run decodes ahead, if it cannot ask the baseline model later.

These replies are decoded before training begins, enough for the planned looks and half as many again (`replies.pool`
uses them up). This module only counts and runs no model.
"""

import math
from collections.abc import Mapping, Sequence

from driftwatch.topics.topic import Topic

AT_ONCE = 32_768  # most replies that are decoded in one go: minutes on a GPU, and a few megabytes
BEYOND = 1.5  # replies are kept for this many times the planned looks, since many runs are extended
UNKNOWN_LOOKS = 40  # planned looks that are assumed where the length of training is unknown


def horizon(planned_looks: int | None) -> int:
    """The number of looks for which the baseline's replies must last: the planned looks and half as many again."""
    return math.ceil(BEYOND * (planned_looks or UNKNOWN_LOOKS))


def replies_needed(looks: int, *, normal: int, watched: int, is_control: bool) -> int:
    """The number of replies of one topic that a run may need, over the looks that `horizon` gives.

    A third of the looks is counted as watched: more than a quiet run needs, and less than a run that drifts from its
    beginning. A control needs as many replies as a topic that is watched throughout, since it gets as many draws as
    the topic that gets most.
    """
    return looks * watched if is_control else looks * normal + -(-looks // 3) * (watched - normal)


def planned_replies(topics: Sequence[Topic], looks: int, *, normal: int, watched: int) -> dict[str, int]:
    """`replies_needed` for every topic, by topic id."""
    return {
        topic.id: replies_needed(looks, normal=normal, watched=watched, is_control=topic.control) for topic in topics
    }


def at_once(planned: Mapping[str, int], limit: int = AT_ONCE) -> dict[str, int]:
    """How many of the planned replies are decoded in one go: all of them, or the same fraction for every topic."""
    total = sum(planned.values())
    if total <= limit:
        return dict(planned)
    return {topic: max(1, number * limit // total) for topic, number in planned.items()}
