import os

import numpy as np
import pytest

from driftwatch.evidence import growth
from driftwatch.simulation import proof
from driftwatch.simulation.proof import Requirement, Study, prove
from driftwatch.simulation.scenario import Scenario, run

SMALL = {"values": 3, "controls": 1, "looks": 8, "bank": 20}


def shares(scenario, runs, seed=0):
    """Share of runs with any alert, a value alert and one called specific, at the first tolerance."""
    found = run(scenario, runs, np.random.default_rng(seed))
    return [
        (looks > 0).any(1).mean() for looks in (found.alert_RVD[..., 0], found.value_RVD[..., 0], found.specific_RV)
    ]


def test_the_same_generator_gives_the_same_runs():
    first, again = (run(Scenario("s", drift=0.2, **SMALL), 20, np.random.default_rng(4)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_moves_and_hardly_anything_is_found():
    any_label, value, specific = shares(Scenario("s", **SMALL), 300)
    assert any_label <= 0.02
    assert value == specific == 0


def test_a_large_flip_is_found_called_specific_and_only_where_it_is():
    scenario = Scenario("s", drift=0.25, pace=0, **{**SMALL, "looks": 15})
    found = run(scenario, 60, np.random.default_rng(0))
    assert (found.specific_RV[:, 0] > 0).mean() > 0.9
    assert (found.value_RVD[:, 1:] > 0).mean() < 0.02


def test_hidden_stances_raise_alerts_of_which_none_is_a_value_alert():
    any_label, value, _ = shares(Scenario("s", lost=(0, 0.9, 0), pace=0, **{**SMALL, "looks": 15}), 60)
    assert any_label > 0.9
    assert value <= 0.05


def test_a_general_flip_is_not_called_specific():
    _, value, specific = shares(Scenario("s", drift=0.2, drifting=None, pace=0, **{**SMALL, "looks": 15}), 60)
    assert value > 0.9
    assert specific <= 0.1


@pytest.mark.parametrize("cheat", ["panel", "reseed", "threshold"])
def test_negative_controls_fail(cheat):
    scenario = Scenario("s", cheat=cheat, rule="fixed", normal=24, **{**SMALL, "looks": 25})
    assert shares(scenario, 60)[0] > 0.3


def test_a_run_goes_on_beyond_its_plan_and_after_a_rollback():
    """Some runs observation more often than planned, and what they find there counts."""
    late = run(Scenario("s", extended=12, drift=0.15, pace=0, **SMALL), 80, np.random.default_rng(0))
    again = run(
        Scenario("s", rolled_back=True, drift=0.1, pace=0, **{**SMALL, "looks": 20}), 80, np.random.default_rng(0)
    )
    assert (late.alert_RVD[:, 0, 0] > 8).any()
    assert (again.alert_RVD[:, 0, 0] > 20).any()


def test_batches_and_jobs_do_not_change_the_figures(monkeypatch):
    monkeypatch.setattr(proof, "BATCH", 7)
    monkeypatch.setattr(proof, "studies", lambda: [Study("power", Scenario("s", drift=0.2, pace=0, **SMALL), 20, 20)])
    one, two = prove("quick", seed=3, jobs=1), prove("quick", seed=3, jobs=2)
    assert one.lines == two.lines
    assert one.lines != prove("quick", seed=4, jobs=1).lines


def test_a_broken_test_does_not_pass_the_proof(monkeypatch):
    """The proof can fail: factors that are 3 % too large are a test that believes in drift."""
    required = (Requirement("value", "at most", 0.01),)
    level = Study("level", Scenario("calm", **{**SMALL, "looks": 20}), 200, 200, required)
    monkeypatch.setattr(proof, "studies", lambda: [level])
    assert prove("quick").passed
    honest = growth.count_factors
    monkeypatch.setattr(growth, "count_factors", lambda deltas: honest(deltas) + 0.03)
    report = prove("quick")
    assert not report.passed
    assert any(line.passed is False and line.required == "at most 0.01" for line in report.lines)


def test_a_negative_control_that_passes_fails_the_proof(monkeypatch):
    harmless = Study(
        "negative control", Scenario("no cheat at all", **SMALL), 50, 50, (Requirement("value", "above", 0.01),)
    )
    monkeypatch.setattr(proof, "studies", lambda: [harmless])
    assert not prove("quick").passed


def test_every_rate_in_the_report_has_its_interval(monkeypatch):
    study = Study("level", Scenario("s", **SMALL), 30, 30, (Requirement("any", "at most", 0.01),))
    monkeypatch.setattr(proof, "studies", lambda: [study])
    data = prove("quick").to_json()
    rates = [r for r in data["results"] if r["figure"] != "median observation"]
    assert all(r["lower"] <= r["rate"] <= r["upper"] and r["runs"] == 30 for r in rates)
    assert {a["requested"] for a in data["achieved"]} == set(proof.ALPHAS)
    assert data["passed"] is True


def test_the_suites_hold_what_they_promise():
    """Every null of the design, each negative control, both suites; at least 6,000 runs of each null in full."""
    studies = proof.studies()
    level = [s for s in studies if s.group == "level"]
    assert {s.scenario.change for s in level} == set(proof.CHANGES)
    assert all(s.full >= 6000 and s.quick > 0 and s.requirements for s in level)
    assert any(s.scenario.lost[0] for s in level)
    assert any(s.scenario.lost[1] for s in level)
    assert any(s.scenario.rule == "hot" for s in level)
    assert any(s.scenario.extended for s in level)
    assert any(s.scenario.rolled_back for s in level)
    cheats = {s.scenario.cheat for s in studies if s.group == "negative control"}
    assert cheats == {"reuse", "panel", "reseed", "drop", "threshold"}
    assert len({s.scenario.name for s in studies}) == len(studies)


@pytest.mark.slow
def test_the_quick_proof_holds():
    report = prove("quick", jobs=os.cpu_count() or 1)
    assert report.passed, [line for line in report.lines if line.passed is False]


@pytest.mark.nightly
def test_the_full_proof_holds():
    report = prove("full", jobs=os.cpu_count() or 1)
    assert report.passed, [line for line in report.lines if line.passed is False]
