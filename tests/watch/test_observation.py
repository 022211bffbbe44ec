"""One look as a record: levels of partial observations, and faults of the model itself."""

import time
from dataclasses import replace

import numpy as np
import pytest
from support.builders import run_info

from driftwatch.drift.calibration import fit_prior
from driftwatch.drift.fault import ModelFault
from driftwatch.drift.outcome import Outcome
from driftwatch.evidence.rows import summary
from driftwatch.evidence.state import Settings, begin
from driftwatch.record.record import Cost, Failure
from driftwatch.replies.pairs import ReplyPair, Said
from driftwatch.stance import Probs, Stance
from driftwatch.store.run_store import Baseline
from driftwatch.watch.baselines import Baselines
from driftwatch.watch.confirm import Confirmed
from driftwatch.watch.observation import Observation, Screened, describe
from driftwatch.watch.stopwatch import Stopwatch

WHY = "the model's logits were not finite"


def bank(num=60, shift=0.0):
    """What the screen finds of two topics whose items lean each its own way."""
    rng = np.random.default_rng(0)
    found = []
    for topic in ("parks", "tea"):
        for i in range(num):
            support, neutral, oppose = rng.normal(-2, 0.4, 3)
            scores = Probs(support + shift, neutral, oppose)
            odds = scores.support - scores.oppose
            found.append(Stance(topic, f"{topic}{i}", "statement", scores=scores, log_odds=odds, coverage=1.0))
    return found


def baselines():
    known = {"start": Baseline("start", "m", {}, tuple(bank()))}
    return Baselines(known, "start", fit_prior(bank()))


def seen(stances, *, failures=(), step=40, **more):
    look = Observation(4, step, "train", Screened(tuple(stances)), failures=tuple(failures))
    rng = np.random.default_rng(0)
    watch = Stopwatch(time.monotonic)
    return describe(look, run_info(), baselines(), watch=watch, attempt=0, cost=Cost(), rng=rng, **more)


def test_looks_at_parts_of_the_bank_show_the_level_of_the_whole_bank():
    whole = seen(bank()).stance("parks", "statement").probs
    rng = np.random.default_rng(1)
    for _ in range(8):
        part = [bank()[i] for i in rng.choice(120, 24, replace=False)]
        share = seen(part).stance("parks", "statement")
        assert tuple(share.probs) == pytest.approx(tuple(whole), abs=1e-9)
        assert share.num_items + share.num_missing == 60
    moved = seen(bank(shift=0.4)).stance("parks", "statement").probs
    part = [bank(shift=0.4)[i] for i in rng.choice(120, 48, replace=False)]
    assert tuple(seen(part).stance("parks", "statement").probs) == pytest.approx(tuple(moved), abs=0.05)


def test_a_look_without_a_finite_figure_is_an_alert_a_failure_and_counted():
    broken = [Stance(s.topic, s.item, "statement", coverage=0.0, unscored=WHY) for s in bank()]
    first = seen(broken)
    assert first.fault == ModelFault("not_finite", 40, "the model's weights or logits are not finite since step 40")
    assert [(alert.topic, alert.severity) for alert in first.alerts] == [("model", "critical")]
    assert first.failures[-1].probe == "model"
    assert first.cost.failures_total == {"model/not_finite": 1}
    second = seen(broken, step=50, fault_before=first.fault)
    assert second.fault.since_step == 40
    assert second.alerts == (), "told once"
    behind = seen(broken, step=30, fault_before=first.fault)
    assert behind.fault.since_step == 30
    assert [alert.topic for alert in behind.alerts] == ["model"], "training went back, and this one is new"


def test_one_item_that_overflows_costs_itself():
    one = [Stance(s.topic, s.item, "statement", unscored=WHY) if s.item == "parks3" else s for s in bank()]
    record = seen(one)
    assert record.fault is None
    assert record.stance("parks", "statement").num_unscored == 1
    assert record.drift("parks", "statement", "start").num_unscored == 1


def test_a_look_that_fails_for_another_reason_says_nothing_of_the_model():
    failed = seen([], failures=[Failure("monitor", "ProbeError: one row does not fit into memory")])
    assert failed.fault is None
    assert not failed.found_anything
    dead = seen([], failures=[Failure("monitor", "ProbeError: the model's logits are not finite, so nothing is there")])
    assert dead.fault is not None
    assert dead.found_anything


def test_looks_at_which_no_reply_is_read_are_counted():
    rows = tuple(summary(begin(Settings(("parks",), ("tea",), 10)), np.random.default_rng(0)))
    once = seen(bank(), before=rows)
    assert {row.looks_unread for row in once.evidence} == {1}
    look = Observation(5, 50, "train", Screened(tuple(bank())), Confirmed(rows, (), (), 0, (), None))
    rng, watch = np.random.default_rng(0), Stopwatch(time.monotonic)
    again = describe(look, run_info(), baselines(), watch=watch, attempt=0, cost=Cost(), before=once.evidence, rng=rng)
    assert {row.looks_unread for row in again.evidence} == {2}, "the judge has read nothing of what it was given"
    said = Said("yes", 1, True, None, Outcome.SUPPORT)
    pair = ReplyPair(5, 50, "parks", "parks0", 0, said, said)
    look = replace(look, confirmed=replace(look.confirmed, pairs=(pair,)))
    read = describe(look, run_info(), baselines(), watch=watch, attempt=0, cost=Cost(), before=again.evidence, rng=rng)
    assert {row.looks_unread for row in read.evidence} == {0}
