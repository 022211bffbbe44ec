import json

import pytest
from click.testing import CliRunner

from driftwatch.cli import group
from driftwatch.simulation import proof
from driftwatch.simulation.proof import Requirement, Study
from driftwatch.simulation.scenario import Scenario

SMALL = {"values": 2, "controls": 1, "looks": 5, "bank": 10}


def invoke(*args):
    return CliRunner().invoke(group, args)


@pytest.fixture
def tiny_suite(monkeypatch):
    level = Study("level", Scenario("calm", **SMALL), 20, 20, (Requirement("any", "at most", 0.01),))
    power = Study("power", Scenario("flip", drift=0.2, **SMALL), 20, 20)
    monkeypatch.setattr(proof, "studies", lambda: [level, power])


@pytest.mark.usefixtures("tiny_suite")
def test_simulate_prints_its_tables_and_its_verdict():
    result = invoke("simulate", "--jobs", "1")
    assert result.exit_code == 0
    assert "False alarms" in result.output
    assert "The quick proof holds; seed 0" in " ".join(result.output.split())


@pytest.mark.usefixtures("tiny_suite")
def test_simulate_prints_json_for_programs():
    data = json.loads(invoke("simulate", "--quick", "--json", "--jobs", "1").stdout)
    assert data["passed"] is True
    assert data["suite"] == "quick"
    assert {r["scenario"] for r in data["results"]} == {"calm", "flip"}


def test_simulate_exits_1_when_a_requirement_fails(monkeypatch):
    impossible = Study("level", Scenario("calm", **SMALL), 20, 20, (Requirement("value", "above", 0.5),))
    monkeypatch.setattr(proof, "studies", lambda: [impossible])
    result = invoke("simulate", "--jobs", "1")
    assert result.exit_code == 1
    assert "must be above 0.5" in " ".join(result.output.split())


def test_plan_says_how_many_draws_and_how_long():
    out = " ".join(invoke("plan", "--steps", "2000", "--step-seconds", "4", "--reply-seconds", "0.02").output.split())
    assert "11 value topics, 40 observations" in out
    assert "steps until the median alert" in out
    assert "share of wall time spent on replies" in out


def test_plan_as_json_finds_larger_effects_sooner():
    small, large = (json.loads(invoke("plan", "--effect", e, "--json").stdout) for e in ("0.1", "0.2"))
    assert large["draws_median"] < small["draws_median"] < small["draws_likely"]
    assert large["look_median"] < small["look_median"]
    assert small["detectable"]["40"][0] < small["detectable"]["40"][1]


def test_plan_says_what_is_decoded_before_training_where_the_baseline_cannot_be_asked_later():
    """As the run draws it: 60 looks for 40 planned, a third of them watched, controls always as if watched."""
    args = ("--topics", "2", "--controls", "1", "--reply-seconds", "0.5")
    ahead = 2 * (60 * 16 + 20 * 32) + 60 * 48
    data = json.loads(invoke("plan", *args, "--json").stdout)
    assert (data["ahead"], data["time"]["ahead_seconds"]) == (ahead, ahead / 2)
    out = " ".join(invoke("plan", *args).output.split())
    assert f"{ahead:,} of the baseline model are decoded before the first step" in out
    assert f"seconds of decoding ahead, where that is needed: {ahead / 2:,.0f}" in out


def test_plan_says_no_more_than_is_decoded_at_once():
    found = json.loads(invoke("plan", "--observations", "400", "--json").stdout)
    assert found["ahead"] == pytest.approx(32_768, rel=0.01)


def test_plan_says_when_an_effect_is_never_found():
    out = " ".join(invoke("plan", "--effect", "0.04").output.split())
    assert "is never found" in out
