"""Labelling: judged replies of a baseline model, and whether the screen agrees with them.

The replies are asked for as a run asks: the same two-sided questions, the same decoding. So a run with the same judge
begins with these labels, and knows from its first observation whether the screen says what the replies say.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from driftwatch.drift.calibration import MIN_LABELLED, calibrated, fit_labels, labelled_items
from driftwatch.drift.outcome import NUM_OUTCOMES, outcome_of
from driftwatch.drift.validity import Tally, label_shares, validity_by_probe
from driftwatch.judges.by_name import judge_by_name
from driftwatch.judges.judge import Asked, Judge, Judgement
from driftwatch.judges.judging import read
from driftwatch.probes.interview import Interview
from driftwatch.probes.reply import Answer, ReplyProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.store.run_store import Baseline, Labels
from driftwatch.topics.question import question
from driftwatch.topics.topic import Topic

REPLIES = 4  # per item and order, so eight per item; with fewer, noise looks like disagreement
PART = 256  # replies that a judge is given at once, as many as at a large observation


def label_probe(settings: Confirmation, *, replies: int = REPLIES) -> ReplyProbe:
    """The probe whose replies become labels.

    Args:
        settings: Settings of the runs to come: which judge they use, how they sample, and how they wrap a question.
        replies: Replies per item and order.
    """
    given = settings.judge
    judge: Judge = judge_by_name(given) if isinstance(given, str) else given
    return ReplyProbe(_InParts(judge), replies=replies, decoding=settings.decoding, wrap=settings.wrap)


def try_out(judge: Judge, topics: Sequence[Topic]) -> None:
    """Have a judge read one reply that restates a side, before a model is asked for thousands.

    Raises:
        JudgeError: The judge cannot. Leaving the reply unclassified is no failure.
    """
    for topic in topics:
        for item in topic.items:
            if item.sides is not None:
                text = question(item, "two_sided", 0)
                read(judge, [Asked(topic.id, topic.poles, item, "two_sided", 0, text, item.sides[0])])
                return


def with_labels(baseline: Baseline, heard: Interview, settings: Confirmation) -> Baseline:
    """The baseline with the judged replies of its model added.

    If a calibration fitted to these labels is worth it, it replaces the old one; otherwise the old one stays.

    Args:
        baseline: The screen's answers, calibrated without labels.
        heard: The same model's replies, collected with `label_probe`.
        settings: The same settings as for `label_probe`.
    """
    counts = tally(heard.answers)
    shares, fit = label_shares(counts), None
    if len(labelled_items(baseline.stances, shares)) >= MIN_LABELLED:
        fit = fit_labels(baseline.stances, shares, np.random.default_rng(0))
    if fit is not None and fit.is_worth_it:
        baseline = replace(baseline, calibration=msgspec.to_builtins(fit.calibration))
    frozen = baseline.frozen
    screen = list(baseline.stances) if frozen is None else calibrated(baseline.stances, frozen)
    # Everything in the probe's identity matters to a run, except its number of replies and its seed.
    identity = {**heard.identity, "sampling": str(settings.decoding)}
    return replace(baseline, labels=Labels(identity, counts, validity_by_probe(screen, counts), fit))


def tally(answers: Sequence[Answer]) -> Tally:
    """Numbers of replies by topic, item and outcome."""
    counts: Tally = {}
    for answer in answers:
        reading = answer.reading
        found = outcome_of(reading.probs, refusal=reading.refusal, off_topic=reading.off_topic)
        items = counts.setdefault(answer.asked.topic, {})
        items.setdefault(answer.asked.item.id, [0] * NUM_OUTCOMES)[found] += 1
    return counts


class _InParts:
    """Gives a judge no more replies at once than an observation would, since its deadline is meant for that many."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @property
    def id(self) -> str:
        return self._judge.id

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        parts = (asked[start : start + PART] for start in range(0, len(asked), PART))
        return [reading for part in parts for reading in read(self._judge, part)]
