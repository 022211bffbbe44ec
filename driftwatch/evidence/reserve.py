"""Reserve: how many replies of the baseline model a run needs that cannot ask it later, as numbers; no model.

They are decoded before training begins, for the planned looks and half as many again (`replies.pool` uses them up).
"""

import math
from collections.abc import Mapping, Sequence

from driftwatch.topics.topic import Topic

AT_ONCE = 32_768  # replies that are decoded in one go at most: minutes on a GPU, and a few megabytes
BEYOND = 1.5  # looks that replies are kept for, by planned ones: many runs are extended
UNKNOWN_LOOKS = 40  # looks that are taken for planned where the length of training is unknown


def horizon(planned_looks: int | None) -> int:
    """Looks for which the baseline's replies must last: the plan, and half as many again."""
    return math.ceil(BEYOND * (planned_looks or UNKNOWN_LOOKS))


def replies_needed(looks: int, *, normal: int, watched: int, is_control: bool) -> int:
    """Replies of one topic that a run may need; the looks as `horizon` gives them.

    A third of the looks watched: more than a quiet run needs, less than one that drifts from its beginning. Of a
    control as many as of a topic that is watched throughout, since it keeps up with whichever topic gets most.
    """
    return looks * watched if is_control else looks * normal + -(-looks // 3) * (watched - normal)


def planned_replies(topics: Sequence[Topic], looks: int, *, normal: int, watched: int) -> dict[str, int]:
    """The same of all topics, by topic."""
    return {
        topic.id: replies_needed(looks, normal=normal, watched=watched, is_control=topic.control) for topic in topics
    }


def at_once(planned: Mapping[str, int], limit: int = AT_ONCE) -> dict[str, int]:
    """What is decoded in one go of what is planned: all of it, or of every topic the same part of what it needs."""
    total = sum(planned.values())
    if total <= limit:
        return dict(planned)
    return {topic: max(1, number * limit // total) for topic, number in planned.items()}
