"""Labels are held: one lasting step is one notice, and what first makes an alert specific stays as it is."""

import math

import numpy as np
import pytest

from driftwatch.drift.outcome import Draws
from driftwatch.evidence import state as evidence
from driftwatch.evidence.alerts import new_alerts
from driftwatch.evidence.labels import GENERAL, NO_LABEL, SPECIFIC, UNREADABLE, UNSETTLED, Grounds, settled
from driftwatch.evidence.rows import summary
from driftwatch.evidence.state import Settings
from driftwatch.evidence.verdict import allocation


def after(held, *, alert=True, value=True, odds=1.0, alike=False, lost=False):
    grounds = Grounds(*(np.array([[x]]) for x in (alert, value, math.log(odds), alike, lost)))
    return int(settled(np.array([[held]]), grounds)[0, 0])


@pytest.mark.parametrize(
    ("held", "grounds", "expected"),
    [
        (NO_LABEL, {"alert": False}, NO_LABEL),
        (NO_LABEL, {"odds": 20.1}, SPECIFIC),
        (NO_LABEL, {"odds": 19.9}, UNSETTLED),
        (NO_LABEL, {"odds": 19.9, "alike": True}, GENERAL),
        (NO_LABEL, {"value": False, "lost": True}, UNREADABLE),
        (UNSETTLED, {"odds": 20.1}, SPECIFIC),
        (SPECIFIC, {"odds": 1.1, "alike": True}, SPECIFIC),
        (SPECIFIC, {"odds": 0.9, "alike": True}, GENERAL),
        (SPECIFIC, {"odds": 0.9}, SPECIFIC),  # nothing else has evidence
        (GENERAL, {"odds": 99.0}, GENERAL),
        (GENERAL, {"odds": 101.0}, SPECIFIC),
        (UNREADABLE, {"value": False, "lost": False}, UNREADABLE),
        (UNREADABLE, {"value": True, "odds": 1.0}, UNSETTLED),  # value evidence denies that only readability moved
    ],
)
def test_a_label_gives_way_only_to_clear_evidence_for_another(held, grounds, expected):
    assert after(held, **grounds) == expected


def stepped(seed, looks=40, step=0.10, values=("v0", "v1", "v2"), controls=("c0", "c1", "c2")):
    """Notices of a run in which one topic steps at the first observation and stays there."""
    rng = np.random.default_rng(seed)
    bank = {name: rng.dirichlet(1.5 * np.array([0.4, 0.3, 0.3]), 50) for name in (*values, *controls)}
    share = min(1.0, step / bank["v0"][:, 2].mean())
    state, before, told = evidence.begin(Settings(values, controls, looks)), (), []
    for look in range(1, looks + 1):
        draws = {}
        for name, number in allocation(state, ["v0"]).items():
            item = rng.integers(0, 50, number)
            then, now = bank[name][item], bank[name][item].copy()
            if name == "v0":
                now[:, 0] += share * then[:, 2]
                now[:, 2] -= share * then[:, 2]
            sides = [
                tuple(int(k) for k in (rng.random(number)[:, None] > shares.cumsum(1)[:, :2]).sum(1))
                for shares in (now, then)
            ]
            draws[name] = Draws(tuple(f"{name}{i}" for i in item), *sides)
        state = evidence.update(state, draws, look)
        rows = summary(state, rng)
        poles = dict.fromkeys(values, ("a", "b"))
        told += [
            a for a in new_alerts(before, rows, poles=poles, alpha=0.01) if (a.topic, a.kind) == ("v0", "direction")
        ]
        before = rows
    return told


def test_one_lasting_step_is_told_once_for_each_thing_that_there_is_to_do():
    """As they were, labels that went to and fro told it 4.2 times a run; every further word now raises the severity."""
    runs = [stepped(seed) for seed in range(6)]
    assert np.mean([len(told) for told in runs]) <= 2.5
    for told in runs:
        ranks = [("info", "warning", "critical").index(alert.severity) for alert in told]
        assert ranks == sorted(ranks)
        assert len({(alert.label, alert.severity) for alert in told}) == len(told), "nothing is told twice"
