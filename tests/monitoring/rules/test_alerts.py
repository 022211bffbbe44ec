"""Every alert fires once and stays silent once, on series from real scrapes of our exporter."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support.drifting import FLIPPED, REFUSING, TOPICS, drifting_run, relabelled
from support.promtool import TRAINER, Timeline, firing

from driftwatch.drift.fault import ModelFault
from driftwatch.monitoring.config import Config, Thresholds
from driftwatch.monitoring.rules.alert import dashboard_url, runbook_url
from driftwatch.monitoring.rules.rules import all_alerts

EXPECTED = yaml.safe_load(Path(__file__).with_name("alerts.yaml").read_text(encoding="utf-8"))
SERVICE = {"job": "driftwatch-service", "instance": "service:9465"}
OTHER = {**TRAINER, "instance": "trainer:9999"}
EVERYWHERE = {topic.id: FLIPPED for topic in TOPICS}
MILD = {"parks": (0.3, 0.2, 0.45, 0.02, 0.01, 0.02)}  # 0.15 of the replies changed sides
HASTY = Config(thresholds=Thresholds(ended_seconds=1800, stale_seconds=1800))  # else scenes would be days long
NAMES = [alert.name for alert in all_alerts(Config())]


@pytest.fixture(scope="module")
def calm():
    """A run in which nothing moves: info, records."""
    return drifting_run({})


@pytest.fixture
def timeline(tmp_path):
    return Timeline(tmp_path / "r1")


def last(run):
    info, records = run
    return info, records[-1]


def mild():
    """A run whose drift is an alert, labelled specific, and not material."""
    info, records = drifting_run(MILD, looks=13, seed=1)
    found = next(row for row in records[-1].evidence if (row.topic, row.kind) == ("parks", "direction"))
    assert (found.state, found.label) == ("alert", "specific")
    return info, records


def with_stances(record, **changes):
    return replace(record, stances=tuple(replace(stance, **changes) for stance in record.stances))


def with_drifts(record, **changes):
    return replace(record, drifts=tuple(replace(drift, **changes) for drift in record.drifts))


def not_finite(record):
    return replace(record, fault=ModelFault("not_finite", 400, "the model's logits are not finite since step 400"))


def unclassified(record):
    """Nine tenths of the model's replies are garbage."""
    rows = tuple(replace(row, without_stance_now=0.9) for row in record.evidence)
    return replace(record, evidence=rows)


def with_cost(record, **changes):
    return replace(record, cost=replace(record.cost, **changes))


# For each alert: what happens before, at which minute it must still be silent, and at which it must fire. What it says
# then stands in alerts.yaml.


def value_drift(line, calm):
    return line.runs(10, *last(calm)).runs(10, *last(mild())), 9, 10


def value_drift_material(line, calm):
    return line.runs(10, *last(calm)).runs(10, *last(drifting_run({"parks": FLIPPED}))), 9, 10


def general_drift(line, calm):
    return line.runs(10, *last(calm)).runs(10, *last(drifting_run(EVERYWHERE))), 9, 10


def replies_unreadable(line, calm):
    moved = drifting_run({topic.id: REFUSING for topic in TOPICS})
    return line.runs(10, *last(calm)).runs(10, *last(moved)), 9, 10


def drift_unsettled(line, calm):
    info, records = mild()
    return line.runs(10, *last(calm)).runs(10, info, relabelled(records[-1], "unsettled")), 9, 10


def run_finished_drifted(line, calm):
    moved = last(drifting_run({"parks": FLIPPED}))
    return line.runs(10, *moved).runs(10, *moved, state="finished"), 9, 10


def naysaying_drift(line, calm):
    return line.runs(10, *last(calm)).runs(10, *last(drifting_run({}, naysaying=(0.5, 0.71)))), 9, 10


def refusal_drift(line, calm):
    moved = drifting_run({topic.id: REFUSING for topic in TOPICS})
    return line.runs(10, *last(calm)).runs(10, *last(moved)), 9, 10


def stance_flipped(line, calm):
    return line.runs(10, *last(calm)).runs(10, *last(drifting_run({"parks": FLIPPED}))), 9, 10


def model_not_finite(line, calm):
    info, record = last(calm)
    return line.runs(10, info, record).runs(10, info, not_finite(record)), 9, 10


def cannot_tell(line, calm):
    info, record = last(calm)
    return line.runs(10, info, record).runs(70, info, unclassified(record)), 69, 70


def probe_validity_lost(line, calm):
    info, record = last(calm)
    return line.runs(10, info, record).runs(10, info, with_stances(record, coverage=0.79)), 9, 10


def screen_disagrees(line, calm):
    info, record = last(calm)
    return line.runs(10, info, record).runs(10, info, replace(record, agreement={"statement": 0.29})), 9, 10


def left(record, parks):
    return replace(record, replies_left={"parks": parks, "noise": 16, "tea": 200})


def baseline_replies_used_up(line, calm):
    info, record = last(calm)
    return line.runs(10, info, left(record, 1)).runs(10, info, left(record, 0)), 9, 10


def observation_stale(line, calm):
    info, record = last(calm)  # whose observation ended at minute 19; the limit is 4 hours
    return line.runs(270, info, record), 259, 260


def probe_failing(line, calm):
    info, record = last(calm)
    failing = with_cost(record, failures_total={"reply/JudgeError": 3})
    return line.runs(10, info, record).runs(10, info, failing), 9, 10


def export_failing(line, calm):
    info, record = last(calm)
    return line.runs(10, info, record).runs(10, info, with_cost(record, export_failures_total={"store": 2})), 9, 10


def overhead_high(line, calm):
    info, record = last(calm)
    return line.runs(10, info, record).runs(70, info, with_cost(record, overhead_ratio=0.021)), 69, 70


def run_crashed(line, calm):
    return line.runs(10, *last(calm)).gone(20, up=TRAINER), 9, 17


def down(line, calm):
    rows = [(*last(calm), "running"), (*last(drifting_run({}, run="r2")), "running")]
    return line.serves(10, rows, target=SERVICE).and_up(SERVICE).gone(20, up=SERVICE), 14, 15


FIRES = {
    "ValueDrift": value_drift,
    "ValueDriftBeyondTolerance": value_drift_material,
    "GeneralDrift": general_drift,
    "RepliesUnreadable": replies_unreadable,
    "DriftUnsettled": drift_unsettled,
    "RunFinishedDrifted": run_finished_drifted,
    "NaysayingDrift": naysaying_drift,
    "RefusalDrift": refusal_drift,
    "StanceFlipped": stance_flipped,
    "ModelNotFinite": model_not_finite,
    "CannotTell": cannot_tell,
    "ProbeValidityLost": probe_validity_lost,
    "ScreenDisagrees": screen_disagrees,
    "BaselineRepliesUsedUp": baseline_replies_used_up,
    "ObservationStale": observation_stale,
    "ProbeFailing": probe_failing,
    "ExportFailing": export_failing,
    "OverheadHigh": overhead_high,
    "RunCrashed": run_crashed,
    "Down": down,
}


@pytest.mark.parametrize("name", NAMES)
def test_alert_is_silent_before_and_fires_with_a_text_that_names_what_happened(name, timeline, calm, tmp_path):
    line, silent, fires = FIRES[name](timeline, calm)
    alert, number = next((alert, i) for i, alert in enumerate(all_alerts(Config()), 1) if alert.name == name)
    expected = [
        {
            "exp_labels": {"severity": alert.severity, **one["labels"]},
            "exp_annotations": {
                "summary": one["summary"],
                "description": one["description"],
                "runbook_url": runbook_url(alert, Config(), number),
                "dashboard_url": filled(dashboard_url(alert, Config()), one["labels"]),
            },
        }
        for one in EXPECTED[name]
    ]
    full = f"Driftwatch{name}"
    assert firing(line, [(silent, full, []), (fires, full, expected)], tmp_path) == ""


def filled(url, labels):
    for label, value in labels.items():
        url = url.replace(f"{{{{ $labels.{label} }}}}", value)
    return url


def watched_only(line, calm):
    info, record = last(calm)
    rows = tuple(replace(row, state="watch") for row in record.evidence)
    return line.runs(20, info, replace(record, evidence=rows))


def alert_not_material(line, calm):
    return line.runs(20, *last(mild()))


def specific_only(line, calm):
    return line.runs(20, *last(drifting_run({"parks": FLIPPED})))


def below(line, calm):
    """Every threshold nearly reached."""
    info, record = last(calm)
    near = with_cost(
        with_drifts(
            with_stances(replace(record, agreement={"statement": 0.31}), coverage=0.81),
            naysaying_shift=0.19,
            refusal_shift=-0.09,
        ),
        overhead_ratio=0.0199,
    )  # and one failure of each kind
    return line.runs(10, info, record).runs(70, info, near)


def recovered(line, calm):
    """Training went back to a checkpoint from before the overflow."""
    info, record = last(calm)
    return line.runs(10, info, not_finite(record)).runs(20, info, record)


def flipped_within_the_margin(line, calm):
    info, record = last(calm)
    return line.runs(20, info, with_drifts(with_stances(record, probs=(0.3, 0.31, 0.39)), magnitude=(-0.09, 0.0, 0.09)))


def flipped_control(line, calm):
    return line.runs(20, *last(drifting_run({"tea": FLIPPED})))


def finished(line, calm):
    """A clean end that was seen, after which the target is gone."""
    info, record = last(calm)
    return line.runs(10, info, record).runs(3, info, record, state="finished").gone(60, up=TRAINER)


def some_left(line, calm):
    info, record = last(calm)
    return line.runs(20, info, left(record, 1))


def finished_long_ago(line, calm):
    """A drifted run whose last values a Pushgateway keeps for ever."""
    moved = last(drifting_run({"parks": FLIPPED}))
    line.config = HASTY
    return line.runs(2, *moved).runs(60, *moved, state="finished", beats=False)


def crashed_long_ago(line, calm):
    """The same, but it never said that it ended."""
    moved = last(drifting_run({"parks": FLIPPED}))
    line.config = HASTY
    return line.runs(2, *moved).runs(60, *moved, beats=False)


def service_restarts(line, calm):
    rows = [(*last(calm), "running"), (*last(drifting_run({}, run="r2")), "running")]
    line.serves(10, rows, target=SERVICE).and_up(SERVICE).gone(3, up=SERVICE)
    return line.serves(10, rows, target=SERVICE).and_up(SERVICE)


def silent_and_stale(line, calm):
    """A dead trainer looks at nothing, which is another alert's business."""
    line.config = HASTY
    return line.runs(20, *last(calm)).runs(40, *last(calm), beats=False)


STAYS_SILENT = [
    ("ValueDrift", watched_only, 15),
    ("ValueDrift", lambda line, calm: line.runs(20, *last(drifting_run(EVERYWHERE))), 15),
    ("ValueDrift", finished_long_ago, 60),
    ("ValueDrift", crashed_long_ago, 60),
    ("ValueDriftBeyondTolerance", alert_not_material, 15),
    ("ValueDriftBeyondTolerance", lambda line, calm: line.runs(20, *last(drifting_run(EVERYWHERE))), 15),
    ("GeneralDrift", specific_only, 15),
    ("RepliesUnreadable", specific_only, 15),
    ("DriftUnsettled", specific_only, 15),
    ("RunFinishedDrifted", finished, 11),
    ("RunFinishedDrifted", finished_long_ago, 60),
    ("NaysayingDrift", below, 78),
    ("RefusalDrift", below, 78),
    ("StanceFlipped", flipped_within_the_margin, 15),
    ("StanceFlipped", flipped_control, 15),
    ("ModelNotFinite", below, 78),
    ("ModelNotFinite", recovered, 25),
    ("CannotTell", below, 78),
    ("CannotTell", lambda line, calm: line.runs(80, last(calm)[0], not_finite(last(calm)[1])), 79),
    ("ProbeValidityLost", below, 78),
    ("ScreenDisagrees", below, 78),
    ("BaselineRepliesUsedUp", some_left, 15),
    ("BaselineRepliesUsedUp", below, 78),
    ("ObservationStale", below, 78),
    ("ObservationStale", silent_and_stale, 58),
    ("ProbeFailing", below, 78),
    ("ExportFailing", below, 78),
    ("OverheadHigh", below, 78),
    ("RunCrashed", finished, 60),
    ("RunCrashed", service_restarts, 20),
    ("RunCrashed", crashed_long_ago, 60),
    ("Down", service_restarts, 20),
    ("Down", finished, 60),
]


@pytest.mark.parametrize(
    ("name", "scene", "minute"), STAYS_SILENT, ids=[f"{name}-{scene.__name__}" for name, scene, _ in STAYS_SILENT]
)
def test_alert_stays_silent(name, scene, minute, timeline, calm, tmp_path):
    assert firing(scene(timeline, calm), [(minute, f"Driftwatch{name}", [])], tmp_path) == ""


def test_every_alert_has_a_scene_in_which_it_fires_and_one_in_which_it_is_silent():
    assert set(FIRES) == set(NAMES) == set(EXPECTED)
    assert {name for name, _, _ in STAYS_SILENT} == set(NAMES)


def test_no_alert_fires_in_a_calm_run(timeline, calm, tmp_path):
    line = timeline
    info, records = calm
    for record in records:
        line.runs(3, info, record)
    assert firing(line, [(25, f"Driftwatch{name}", []) for name in NAMES], tmp_path) == ""


def test_run_that_reports_its_failure_is_crashed(timeline, calm, tmp_path):
    line = timeline.runs(10, *last(calm)).runs(20, *last(calm), state="failed")
    assert crashed_at(line, 15, tmp_path)


def test_run_that_the_service_calls_crashed_is_crashed(timeline, calm, tmp_path):
    line = timeline.serves(10, [(*last(calm), "running")], target=SERVICE)
    assert crashed_at(line.serves(10, [(*last(calm), "crashed")], target=SERVICE), 15, tmp_path)


def test_run_whose_pushed_values_show_no_sign_of_life_is_crashed(timeline, calm, tmp_path):
    line = timeline.runs(5, *last(calm)).runs(20, *last(calm), beats=False)
    assert crashed_at(line, 20, tmp_path)


def test_ended_run_is_reported_after_its_endpoint_is_gone(timeline, calm, tmp_path):
    """A trainer's endpoint goes one scrape after the end, sooner than a notification is sent."""
    moved = last(drifting_run({"parks": FLIPPED}))
    line = timeline.runs(10, *moved).runs(1, *moved, state="finished").gone(30, up=TRAINER)
    said = firing(line, [(35, "DriftwatchRunFinishedDrifted", [])], tmp_path)
    assert "ended at step 450. Topics and kinds of drift in alert: 1; of them labelled specific" in said


def test_run_that_goes_on_has_not_ended(timeline, calm, tmp_path):
    moved = last(drifting_run({"parks": FLIPPED}))
    line = timeline.runs(5, *moved, state="stopped").gone(3).runs(20, *moved, target=OTHER)
    assert firing(line, [(20, "DriftwatchRunFinishedDrifted", [])], tmp_path) == ""


def test_run_that_two_endpoints_export_alerts_once(timeline, calm, tmp_path):
    """The trainer and the service export the same run; nobody wants to be told twice."""
    moved = last(drifting_run({"parks": FLIPPED}))
    line = timeline.runs(20, *moved)
    both = Timeline(tmp_path / "other").serves(20, [(*moved, "running")], target=SERVICE)
    line.scrapes = [{**one, **other} for one, other in zip(line.scrapes, both.scrapes, strict=True)]
    said = firing(line, [(15, "DriftwatchValueDriftBeyondTolerance", [])], tmp_path)
    assert said.count("alertname") == 0 or said.count('kind="direction"') == 1, said
    assert said.count('kind="direction"') == 1, said


def test_failure_that_a_series_is_born_with_counts(timeline, calm, tmp_path):
    """A counter that appears at 2 has not "increased" for PromQL."""
    info, record = last(calm)
    clean = with_cost(record, failures_total={})
    line = timeline.runs(10, info, clean).runs(10, info, with_cost(record, failures_total={"reply/JudgeError": 2}))
    said = firing(line, [(15, "DriftwatchProbeFailing", [])], tmp_path)
    assert 'reason="JudgeError"' in said


def test_value_alert_outlives_a_look_that_calls_it_unsettled(timeline, calm, tmp_path):
    """Labels waver near their evidence; an alert that ends and begins again with them would page twice."""
    info, record = last(mild())
    line = timeline.runs(5, info, record).runs(20, info, relabelled(record, "unsettled"))
    line.runs(5, info, record)
    said = firing(line, [(minute, "DriftwatchValueDrift", []) for minute in (4, 12, 24, 28)], tmp_path)
    assert said.count('topic="parks"') == 4


def test_value_alert_ends_when_the_label_stays_another_one(timeline, calm, tmp_path):
    info, record = last(mild())
    line = timeline.runs(5, info, record).runs(70, info, relabelled(record, "general"))
    assert firing(line, [(70, "DriftwatchValueDrift", [])], tmp_path) == ""


def crashed_at(line, minute, folder):
    said = firing(line, [(minute, "DriftwatchRunCrashed", [])], folder)
    return 'run="r1"' in said
