"""One function decides what is said of a run; every surface says the same, and quiet only where it was measured."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from support.synthetic_runs import synthetic_info, synthetic_run

from driftwatch.cli.gate import command as gate
from driftwatch.cli.runs import command as runs
from driftwatch.demo.verdict import verdict as demo
from driftwatch.drift.compare import Drift
from driftwatch.drift.fault import ModelFault
from driftwatch.drift.outcome import Draws, Outcome
from driftwatch.drift.shares import TopicStance
from driftwatch.evidence.rows import summary
from driftwatch.evidence.state import Settings, begin, update
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.record import metrics as m
from driftwatch.record.decision import DETECTABLE, decide, detectable
from driftwatch.record.record import Record, TopicInfo, record_from_json, to_json
from driftwatch.record.samples import samples
from driftwatch.report.advice import advice
from driftwatch.report.render import as_json, html, markdown
from driftwatch.report.summary import summarise
from driftwatch.report.verdict import verdict, verdict_of
from driftwatch.service.app import create_app
from driftwatch.service.library import Library
from driftwatch.wording import REASONS, STATE_WORDS, TO_DO
from driftwatch.wording import VERDICT_STATES as STATES

VALUES, CONTROLS = tuple(f"v{i}" for i in range(11)), ("c0", "c1", "c2")
TOPICS = tuple(TopicInfo(name, name.upper(), ("firm", "mercy"), name in CONTROLS, 50) for name in (*VALUES, *CONTROLS))
INFO = synthetic_info("r1", baselines=("start",), alerting_baseline="start", replies_drawn=True)
INFO = replace(INFO, topics=TOPICS)
SHARES = (0.4, 0.3, 0.3, 0.0, 0.0, 0.0)
GARBAGE = (0.03, 0.02, 0.02, 0.0, 0.13, 0.8)
REFUSES = (0.1, 0.1, 0.1, 0.7, 0.0, 0.0)


def looked(numbers, *, now=SHARES, before=SHARES, looks=30, seed=0):
    """The last observation of a run whose topics get so many draws at each observation."""
    rng = np.random.default_rng(seed)
    state = begin(Settings(VALUES, CONTROLS, looks))
    for look in range(looks):
        draws = {}
        for name, number in numbers.items():
            items = tuple(f"{name}{i}" for i in rng.integers(0, 50, number))
            sides = [tuple(rng.choice(len(Outcome), number, p=shares).tolist()) for shares in (now, before)]
            draws[name] = Draws(items, *sides)
        state = update(state, draws, 10 * (look + 1))
    drifts = tuple(
        Drift(t.id, "statement", "start", score_shift=0.01, log_odds_shift=0.01, num_items=50) for t in TOPICS
    )
    return Record("r1", 0, looks, 10 * looks, "train", 0.0, drifts=drifts, evidence=tuple(summary(state, rng)))


EVERY = dict.fromkeys((*VALUES, *CONTROLS), 16)
SCENES = {
    "twelve pairs over 14 topics": (INFO, looked(dict.fromkeys(EVERY, 1), looks=1), "too_few_replies"),
    "384 pairs of controls": (INFO, looked(dict.fromkeys(CONTROLS, 16), looks=8), "not_drawn"),
    "before any reply": (INFO, looked({}, looks=1), "not_drawn"),
    "the model's replies are garbage": (INFO, looked(EVERY, now=GARBAGE), "not_classified"),
    "the baseline's are": (INFO, looked(EVERY, before=GARBAGE), "not_classified"),
    "both are": (INFO, looked(EVERY, now=GARBAGE, before=GARBAGE), "not_classified"),
    "both refuse": (INFO, looked(EVERY, now=REFUSES, before=REFUSES), "not_classified"),
    "one topic was hardly drawn": (INFO, looked({**EVERY, "v3": 1}), "too_few_replies"),
    "one topic's replies are used up": (
        INFO,
        replace(
            looked(EVERY),
            evidence=tuple(replace(r, state="ended") if r.topic == "v3" else r for r in looked(EVERY).evidence),
        ),
        "replies_used_up",
    ),
    "no resolution": (replace(INFO, unresolved=dict.fromkeys(VALUES, "noise")), looked(EVERY), "no_resolution"),
    "replies refused": (
        replace(INFO, replies_drawn=False, replies_refused="its cache is not read"),
        replace(looked({}, looks=1), evidence=()),
        "replies_refused",
    ),
    "no figure": (
        replace(INFO, replies_drawn=False),
        replace(
            looked({}, looks=1),
            evidence=(),
            drifts=tuple(Drift(t.id, "statement", "start", num_items=50, unscored="out of memory") for t in TOPICS),
        ),
        "not_measured",
    ),
    "not finite": (
        INFO,
        replace(looked(EVERY), fault=ModelFault("not_finite", 60, "the logits are not finite since step 60")),
        "not_finite",
    ),
    "exploded": (
        INFO,
        replace(looked(EVERY), drifts=tuple(replace(d, log_odds_shift=-3e28) for d in looked(EVERY).drifts)),
        "not_finite",
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_what_was_not_measured_is_never_called_quiet(name):
    info, record, reason = SCENES[name]
    found = decide(info, record)
    assert (found.state, found.reason) == ("cannot_tell", reason)
    said = verdict(info, record)
    assert (said.state, said.reason) == ("cannot_tell", reason)
    assert found.why.lower() in said.headline.lower(), "the reason comes first"


def unread_for(looks):
    record = looked(EVERY)
    return replace(record, evidence=tuple(replace(row, looks_unread=looks) for row in record.evidence))


def test_evidence_of_long_ago_is_not_called_quiet():
    assert decide(INFO, unread_for(4)).state == "ok"
    found = decide(INFO, unread_for(5))
    assert (found.state, found.reason, found.untold) == ("cannot_tell", "not_measured", VALUES)
    assert "in the last 5 observations" in verdict(INFO, unread_for(5)).headline


def topic_states(info, record):
    found = [s for s in samples(info, record, state="running") if s.metric is m.TOPIC_STATE and s.value == 1]
    return {(s.labels[1], s.labels[2]): s.labels[3] for s in found}


@pytest.mark.parametrize("name", SCENES)
def test_no_topic_is_exported_as_ok_of_which_nothing_can_be_told(name):
    info, record, _ = SCENES[name]
    untold = decide(info, record).untold
    states = topic_states(info, record)
    assert "ok" not in {state for (topic, _), state in states.items() if topic in untold}
    assert "cannot_tell" not in {state for (topic, _), state in states.items() if topic in CONTROLS}


def test_topics_of_which_something_can_be_told_keep_their_state_beside_others():
    states = topic_states(INFO, looked({**EVERY, "v3": 1}))
    assert (states["v3", "direction"], states["v4", "direction"], states["all", "readability"]) == (
        "cannot_tell",
        "ok",
        "ok",
    )
    alert = replace(SCENES["before any reply"][1].evidence[0], state="alert", label="unsettled")
    record = replace(SCENES["before any reply"][1], evidence=(alert, *SCENES["before any reply"][1].evidence[1:]))
    assert topic_states(INFO, record)["v0", "direction"] == "alert", "an alert stays one"


def test_the_verdict_says_that_the_newest_observations_read_nothing():
    for looks, said in ((0, None), (1, "The last observation read no replies"), (4, "The last 4 observations read no")):
        details = " ".join(verdict(INFO, unread_for(looks)).details)
        assert said is None or said in details
        assert ("read no replies" in details) == (said is not None)


@pytest.mark.parametrize("name", SCENES)
def test_the_advice_is_what_to_do_about_the_reason_whatever_stands_before_it(name):
    info, record, reason = SCENES[name]
    rows = [replace(row, state="watch") if row.topic == "v5" else row for row in record.evidence]
    watched = replace(record, evidence=tuple(rows))
    said = verdict(info, watched)
    assert advice(info, watched, said)[0].do == TO_DO[reason]


def test_frozen_evidence_is_not_called_quiet():
    """Looks at which nothing is drawn leave no recent draws; the reason is passed on."""
    record, why = looked(EVERY), "the baseline model is not what it was"
    frozen = tuple(replace(row, estimate=None, why=why) for row in record.evidence)
    found = decide(INFO, replace(record, evidence=frozen))
    assert (found.state, found.reason) == ("cannot_tell", "not_measured")
    assert why in found.why


def test_an_alert_outlives_replies_that_are_not_read_any_more():
    record = unread_for(9)
    first, *others = record.evidence
    alert = replace(first, state="alert", label="specific")
    assert decide(INFO, replace(record, evidence=(alert, *others))).state == "alert"


def test_a_model_that_was_never_asked_is_not_said_to_be_finite():
    failed = replace(looked({}, looks=1), drifts=(), evidence=())
    for record, said in ((failed, []), (looked(EVERY), [1.0])):
        found = [s.value for s in samples(INFO, record, state="running") if s.metric is m.MODEL_FINITE]
        assert found == said


def test_a_run_that_was_measured_is_quiet():
    found = decide(INFO, looked(EVERY))
    assert (found.state, found.reason, found.untold) == ("ok", None, ())
    assert max(detectable(looked(EVERY))) < 0.3


def test_quiet_begins_where_a_shift_of_a_fifth_would_have_been_found():
    states = [decide(INFO, looked(EVERY, looks=looks)).state for looks in (5, 30)]
    assert states == ["cannot_tell", "ok"]
    row = next(row for row in looked(EVERY).evidence if row.topic == "v0" and row.kind == "direction")
    for figure, state in ((DETECTABLE, "ok"), (DETECTABLE + 0.001, "cannot_tell"), (None, "cannot_tell")):
        rows = tuple(
            replace(other, minimum_detectable=figure) if other == row else other for other in looked(EVERY).evidence
        )
        assert decide(INFO, replace(looked(EVERY), evidence=rows)).state == state


def test_topics_that_cannot_be_told_are_named_and_the_others_counted():
    info, record, _ = SCENES["one topic was hardly drawn"]
    assert decide(info, record).untold == ("v3",)
    assert verdict(info, record).headline.startswith("Cannot tell on V3: the replies on V3 are too few")
    assert verdict(info, record).headline.endswith("no alert on the other 10.")


def test_twelve_pairs_and_controls_alone_are_counted_in_the_reason():
    assert (
        "11 pairs of replies on 11 value topics are too few"
        in verdict(*SCENES["twelve pairs over 14 topics"][:2]).headline
    )
    assert "all 384 pairs of replies are of other topics" in verdict(*SCENES["384 pairs of controls"][:2]).headline


def test_half_of_the_replies_is_the_line():
    """As many as take a stance may fail to; one more, and nothing can be told."""
    record = looked(EVERY)
    pooled = next(row for row in record.evidence if row.topic == "all")
    for share, state in ((0.5, "ok"), (0.51, "cannot_tell")):
        rows = tuple(replace(row, without_stance_baseline=share) if row == pooled else row for row in record.evidence)
        assert decide(INFO, replace(record, evidence=rows)).state == state


@pytest.mark.parametrize("name", ["the model's replies are garbage", "the baseline's are", "both are"])
def test_nothing_is_said_to_be_detectable_in_replies_that_nobody_could_read(name):
    info, record, _ = SCENES[name]
    assert detectable(record) == []
    assert not any("nine times out of ten" in sentence for sentence in verdict(info, record).details)
    assert not [s for s in samples(info, record, state="running") if s.metric is m.DETECTABLE]
    older = tuple(replace(row, minimum_detectable=0.05) for row in record.evidence)
    assert not [s for s in samples(info, replace(record, evidence=older), state="running") if s.metric is m.DETECTABLE]


def test_a_value_alert_stands_though_later_replies_cannot_be_read():
    rows = tuple(
        replace(row, state="alert", label="specific", sign=1, onset_step=40, without_stance_now=0.9)
        if row.topic in ("v0", "all")
        else replace(row, without_stance_now=0.9)
        for row in looked(EVERY).evidence
    )
    rows = tuple(row for row in rows if row.topic != "all")
    assert decide(INFO, replace(looked(EVERY), evidence=rows)).state == "alert"


def test_the_screen_alone_is_never_green():
    info, record = replace(INFO, replies_drawn=False), replace(looked({}, looks=1), evidence=())
    assert decide(info, record).state == "screened"
    assert "never that nothing moved" in verdict(info, record).details[0]
    large = tuple(replace(drift, log_odds_shift=2.0) for drift in record.drifts)
    assert decide(info, replace(record, drifts=large)).state == "general", "controls moved alike, by 2 nats per token"


def test_a_record_of_an_earlier_version_says_of_itself_that_its_model_is_not_finite():
    why = "the model's logits were not finite"
    stances = tuple(
        TopicStance(t.id, "statement", None, None, None, None, None, None, None, 0.0, 50, 50, why) for t in TOPICS
    )
    drifts = tuple(Drift(t.id, "statement", "start", num_items=50, num_unscored=50, unscored=why) for t in TOPICS)
    record = replace(looked(EVERY), stances=stances, drifts=drifts)
    assert decide(INFO, record).reason == "not_finite"
    assert verdict(INFO, record).headline == (
        "The model's weights or logits are not finite since step 300: nothing can be told of any topic."
    )


def test_states_and_reasons_of_the_metrics_are_those_that_are_decided():
    assert all(state in m.VERDICT.help for state in STATES)
    assert all(reason in m.CANNOT_TELL.help for reason in REASONS)
    assert set(STATE_WORDS) == set(STATES)


def test_a_record_with_a_fault_is_read_as_it_was_written():
    record = SCENES["not finite"][1]
    assert record_from_json(to_json(record)).fault == record.fault


# Every surface


@pytest.fixture(params=[*SCENES, "measured"])
def scene(request, tmp_path):
    """A run folder whose last observation is that of a scene: store, info, record."""
    info, record, reason = SCENES.get(request.param, (INFO, looked(EVERY), None))
    kept = {"baselines": ("start",), "alerting_baseline": "start"}
    record = replace(record, look=1, attempt=0)  # the second observation, whose stances the folder has
    store = synthetic_run(tmp_path / "runs", "r1", looks=2, step=record.step, evidence=False, replies=False, **kept)
    info = replace(info, identity=store.info().identity)
    (store.folder / "run.json").write_bytes(to_json(info))
    (store.folder / "records.jsonl").write_bytes(to_json(record) + b"\n")
    return store, info, record, reason


def test_every_surface_gives_the_same_verdict(scene, tmp_path):
    store, info, record, reason = scene
    state = decide(info, record).state
    said = verdict(info, record)
    assert verdict_of(store) == said

    summary_ = summarise(store)
    assert summary_.verdict == said
    assert json.loads(as_json(summary_))["verdict"]["state"] == state
    assert STATE_WORDS[state] in html(summary_)
    assert STATE_WORDS[state].capitalize() in markdown(summary_)
    assert ("Nothing to do" in markdown(summary_)) == (state == "ok")

    listed = json.loads(CliRunner().invoke(runs, ["list", str(store.folder.parent), "--json"]).stdout)
    assert listed[0]["verdict"] == STATE_WORDS[state]
    shown = CliRunner().invoke(runs, ["show", str(store.folder)]).stdout
    assert f"{STATE_WORDS[state]}:" in shown
    assert (
        json.loads(CliRunner().invoke(runs, ["show", str(store.folder), "--json"]).stdout)["verdict"]["reason"]
        == reason
    )

    arguments = ["--baseline", str(store.folder), "--candidate", str(store.folder), "--json", "--max-drift", "0.9"]
    gated = CliRunner().invoke(gate, arguments)
    assert (gated.exit_code, json.loads(gated.stdout)["decision"]) == ((2, "unresolved") if reason else (0, "within"))
    assert demo(info, record, planted="v0", towards=0).can_tell == (reason is None)

    exporter = PrometheusExporter(port=None)
    exporter.open(info, store)
    exporter.export(record)
    found = {sample.name: sample for f in exporter.registry.collect() for sample in f.samples if sample.value == 1}
    assert found["driftwatch_verdict"].labels["verdict"] == state
    assert ("driftwatch_cannot_tell" in found) == (reason is not None)
    if reason is not None:
        assert found["driftwatch_cannot_tell"].labels["reason"] == reason

    library = Library(store.folder.parent)
    library.refresh()
    with TestClient(create_app(library, hosts=("testserver",))) as client:
        row = client.get("/api/v1/runs").json()["runs"][0]
        detail = client.get("/api/v1/runs/r1").json()
        exposed = text_string_to_metric_families(client.get("/metrics").text)
        states = {s.labels["verdict"]: s.value for f in exposed if f.name == "driftwatch_verdict" for s in f.samples}
    assert (row["verdict"]["state"], row["verdict"]["reason"]) == (state, reason)
    assert (detail["verdict"]["state"], detail["verdict"]["headline"]) == (state, said.headline)
    assert states == {name: float(name == state) for name in STATES}
