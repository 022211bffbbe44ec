"""Panel: several judges read every reply; the majority counts, and their disagreement is a figure of its own.

Each judgement carries the votes behind it, so that the disagreement can be computed for any replies at any time.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from msgspec import Meta

from driftwatch.drift.abstained import OF_THE_READER
from driftwatch.drift.disagreement import Disagreement
from driftwatch.drift.kappa import cohen_kappa
from driftwatch.errors import ConfigError, JudgeError
from driftwatch.judges.judge import Asked, Judge, Judgement, Vote
from driftwatch.judges.judging import Outcome, outcome, read
from driftwatch.stance import Probs

logger = logging.getLogger(__name__)

MAX_NAME = 24  # most characters of a judge's kind in a short name


class Panel:
    """A judge that takes the majority of several judges.

    Raises:
        ConfigError: There are fewer than two judges, or one is given twice.
    """

    def __init__(
        self,
        judges: Annotated[
            Sequence[Judge],
            Meta(
                min_length=2,
                examples=[["sides", "nli"]],
                description="Two or more, of different kinds: judges alike are wrong alike.",
            ),
        ],
    ) -> None:
        ids = [judge.id for judge in judges]
        if len(ids) < 2 or len(set(ids)) < len(ids):
            raise ConfigError(f"a panel needs two or more different judges; found {', '.join(ids) or 'none'}.")
        self._judges = tuple(judges)
        self._names = _short(ids)

    @property
    def is_remote(self) -> bool:
        """Whether one of its judges is remote, so that all of them read while training goes on."""
        return any(getattr(judge, "is_remote", False) for judge in self._judges)

    @property
    def id(self) -> str:
        """The ids of all its judges."""
        return f"panel({', '.join(judge.id for judge in self._judges)})"

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """The majority's judgement of each reply, unclassified without a majority. Judges that fail are left out.

        Raises:
            JudgeError: Fewer than two judges are left.
        """
        found: dict[str, list[Judgement]] = {}
        absent: list[Vote] = []
        for name, judge in zip(self._names, self._judges, strict=True):
            try:
                found[name] = read(judge, asked)
            except JudgeError as err:  # noqa: PERF203 - one judge's failure is not the panel's
                absent.append(Vote(name, None, str(err)))
        if len(found) < 2:
            why = "; ".join(vote.why or "" for vote in absent)
            raise JudgeError(f"{len(found)} of {len(self._judges)} judges are left: {why}")
        if absent:
            logger.warning("the panel reads without %s", ", ".join(vote.judge for vote in absent))
        return [
            replace(majority(readings), votes=(*map(Vote, found, readings), *absent))
            for readings in zip(*found.values(), strict=True)
        ]


def majority(votes: Sequence[Judgement]) -> Judgement:
    """The judgement of more than half of the judges that classified a reply.

    Judges that abstain have no vote, unless all abstain. The probabilities are the mean over the majority.
    """
    outcomes = [outcome(vote) for vote in votes]
    counts: Counter[Outcome] = Counter(found for found in outcomes if found != "unread")
    if not counts:
        return _abstention(votes)
    winner, number = counts.most_common(1)[0]
    if 2 * number <= sum(counts.values()):
        return Judgement(unread=f"the judges disagree: {', '.join(sorted(counts))}")
    agreeing = [vote for vote, found in zip(votes, outcomes, strict=True) if found == winner]
    probs = [vote.probs for vote in agreeing if vote.probs is not None]
    return Judgement(probs=Probs(*np.mean(probs, axis=0).tolist())) if probs else agreeing[0]


def _abstention(votes: Sequence[Judgement]) -> Judgement:
    """The judgement if all judges abstain; a refusal to take the reply comes first, since it is counted by kind."""
    told = [vote for vote in votes if vote.unread]
    if not told:
        return Judgement(unread="two stances are equally likely", unread_kind="tie")
    first = next((vote for vote in told if vote.unread_kind in OF_THE_READER), told[0])
    return Judgement(unread=first.unread, unread_kind=first.unread_kind)


def disagreement(readings: Sequence[Judgement]) -> Disagreement | None:
    """How far the judges behind some judgements differ; `None` if no panel made them.

    Args:
        readings: Judgements of one panel, from one call or several.
    """
    ballots = [{vote.judge: vote for vote in reading.votes} for reading in readings if reading.votes]
    if not ballots:
        return None
    outcomes = [{n: outcome(v.reading) for n, v in ballot.items() if v.reading is not None} for ballot in ballots]
    counted = [[found for found in row.values() if found != "unread"] for row in outcomes]
    shared = [row for row in counted if len(row) > 1]
    names = sorted({name for ballot in ballots for name in ballot})
    return Disagreement(
        ratio=sum(len(set(row)) > 1 for row in shared) / len(shared) if shared else None,
        kappa={f"{a}/{b}": _kappa(outcomes, a, b) for i, a in enumerate(names) for b in names[i + 1 :]},
        num_replies=len(shared),
        absent={v.judge: v.why or "" for ballot in reversed(ballots) for v in ballot.values() if v.reading is None},
    )


def _kappa(outcomes: Sequence[dict[str, Outcome]], first: str, second: str) -> float | None:
    both = [(row[first], row[second]) for row in outcomes if first in row and second in row]
    return cohen_kappa(*zip(*both, strict=True)) if both else None


def _short(ids: Sequence[str]) -> list[str]:
    """Short names for labels, since ids are too long: each judge's kind, numbered if two judges are of one kind.

    >>> _short(["sides:5", "nli:org/model:0f3a:91", "nli:other:77:91"])
    ['sides', 'nli', 'nli-2']
    """
    kinds = [judge.partition(":")[0].partition("(")[0][:MAX_NAME] for judge in ids]
    seen: Counter[str] = Counter()
    names = []
    for kind in kinds:
        seen[kind] += 1
        names.append(kind if seen[kind] == 1 else f"{kind}-{seen[kind]}")
    return names
