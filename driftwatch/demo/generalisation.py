"""How far the change reaches claims that no training saw; it is no part of the demo's verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from driftwatch.drift.calibration import Calibration, calibrated
from driftwatch.drift.compare import Drift, compare
from driftwatch.drift.validity import Validity, validity
from driftwatch.probes.interview import interview, reply_probe
from driftwatch.stance import Stance
from driftwatch.topics import TopicPack
from driftwatch.watch.instrument import ask_once
from driftwatch.wording import signed, signed_percent


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's answers to the new claims: calibrated stances of the screen, and replies that `sides` judged."""

    screen: list[Stance]
    replies: list[Stance]


def ask(model: Any, tokenizer: Any, pack: TopicPack, *, before: "Answers | None" = None) -> Answers:
    """Ask a model about the new claims once.

    Args:
        model: The model, which is not in training.
        tokenizer: Its tokenizer.
        pack: The new claims.
        before: Earlier answers that these will be compared with; `None` the first time.
    """
    found = ask_once(model, tokenizer, pack, model_name="demo")
    written = interview(model, tokenizer, pack.topics, reply_probe("two-sided", "sides"))
    screen = list(found.stances)
    if before is None:
        assert found.calibration is not None, "the screen gives scores"
        screen = calibrated(screen, msgspec.convert(found.calibration, Calibration))
    return Answers(screen, written.stances)


def shifts(before: Answers, after: Answers) -> tuple[list[Drift], list[Drift]]:
    """The shifts of each topic: first by the screen, then by the replies."""
    rng = np.random.default_rng(0)
    return (
        compare(before.screen, after.screen, against="sft", rng=rng),
        compare(before.replies, after.replies, against="sft", rng=rng),
    )


def agreement(answers: Answers) -> Validity:
    """The agreement of the screen with the replies."""
    return validity(answers.screen, answers.replies)


def listed(drifts: Sequence[Drift]) -> str:
    """The screen's log-odds shift of each topic, in one line."""
    return ", ".join(f"{d.topic} {signed(d.log_odds_shift)}" for d in drifts if d.log_odds_shift is not None)


def listed_replies(drifts: Sequence[Drift]) -> str:
    """The net shift of each topic, positive toward its first pole, in one line."""
    # P(support) - P(oppose) of judged replies moves by two for each reply that changes sides.
    return ", ".join(f"{d.topic} {signed_percent(d.score_shift / 2)}" for d in drifts if d.score_shift is not None)
