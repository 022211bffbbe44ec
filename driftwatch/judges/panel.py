"""Panel: several judges read every reply; the majority counts, and how often they disagree is a figure of its own."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftwatch.errors import ConfigError, JudgeError
from driftwatch.judges.judge import Asked, Judge, Reading
from driftwatch.judges.reading import Outcome, outcome, read
from driftwatch.judges.scorecard import cohen_kappa
from driftwatch.stance import Probs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How far the judges of a panel differ on some replies.

    Attributes:
        ratio: Share of the replies on which those that read it differ, among the replies that two or more read.
            `None` where there are none.
        kappa: Cohen's kappa of each pair of judges over all outcomes, by the pair's ids.
        num_replies: Replies that two or more judges read.
        absent: Ids of the judges that failed, with the reason.
    """

    ratio: float | None
    kappa: dict[tuple[str, str], float | None]
    num_replies: int
    absent: dict[str, str]


class Panel:
    """A judge made of judges.

    Args:
        judges: Two or more, of different kinds: judges alike are wrong alike.

    Raises:
        ConfigError: Fewer than two, or one twice.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        ids = [judge.id for judge in judges]
        if len(ids) < 2 or len(set(ids)) < len(ids):
            raise ConfigError(f"a panel needs two or more different judges; found {', '.join(ids) or 'none'}.")
        self._judges = tuple(judges)
        self.disagreement: Disagreement | None = None  # of the last call of `read`

    @property
    def is_remote(self) -> bool:
        """Whether one of its judges is, so that all read beside training."""
        return any(getattr(judge, "is_remote", False) for judge in self._judges)

    @property
    def id(self) -> str:
        """The ids of its judges."""
        return f"panel({', '.join(judge.id for judge in self._judges)})"

    def read(self, asked: Sequence[Asked]) -> list[Reading]:
        """The majority's reading of each reply; unread where no outcome has one. Goes on without judges that fail.

        Raises:
            JudgeError: Fewer than two judges are left.
        """
        found: dict[str, list[Reading]] = {}
        absent: dict[str, str] = {}
        for judge in self._judges:
            try:
                found[judge.id] = read(judge, asked)
            except JudgeError as err:  # noqa: PERF203 - one judge's failure is not the panel's
                absent[judge.id] = str(err)
        if len(found) < 2:
            raise JudgeError(f"{len(found)} of {len(self._judges)} judges are left: {'; '.join(absent.values())}")
        if absent:
            logger.warning("the panel reads without %s", ", ".join(absent))
        self.disagreement = _disagreement(found, absent)
        return [majority(votes) for votes in zip(*found.values(), strict=True)]


def majority(votes: Sequence[Reading]) -> Reading:
    """What more than half of the judges that read a reply find in it.

    Judges that abstain have no vote, except where all do. The probabilities are the mean over the majority.
    """
    outcomes = [outcome(vote) for vote in votes]
    counts: Counter[Outcome] = Counter(found for found in outcomes if found != "unread")
    if not counts:
        return Reading(unread=next((v.unread for v in votes if v.unread), "two stances are equally likely"))
    winner, number = counts.most_common(1)[0]
    if 2 * number <= sum(counts.values()):
        return Reading(unread=f"the judges disagree: {', '.join(sorted(counts))}")
    agreeing = [vote for vote, found in zip(votes, outcomes, strict=True) if found == winner]
    probs = [vote.probs for vote in agreeing if vote.probs is not None]
    return Reading(probs=Probs(*np.mean(probs, axis=0).tolist())) if probs else agreeing[0]


def _disagreement(found: dict[str, list[Reading]], absent: dict[str, str]) -> Disagreement:
    outcomes = {judge: [outcome(reading) for reading in readings] for judge, readings in found.items()}
    read_by_some = [[o for o in row if o != "unread"] for row in zip(*outcomes.values(), strict=True)]
    shared = [row for row in read_by_some if len(row) > 1]
    ids = list(outcomes)
    return Disagreement(
        ratio=sum(len(set(row)) > 1 for row in shared) / len(shared) if shared else None,
        kappa={
            (a, b): cohen_kappa(outcomes[a], outcomes[b]) if outcomes[a] else None
            for i, a in enumerate(ids)
            for b in ids[i + 1 :]
        },
        num_replies=len(shared),
        absent=absent,
    )
