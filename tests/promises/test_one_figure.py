"""One figure for one fact: every surface renders the same record, and one net shift is found on all of them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from starlette.testclient import TestClient
from support.drifting import FLIPPED, drifting_run

from driftwatch.cli.runs import command as runs
from driftwatch.cli.tables import drift_table
from driftwatch.demo.verdict import verdict as demo
from driftwatch.evidence.alerts import new_alerts
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.exporters.trackers import scalars
from driftwatch.exporters.webhook import payload
from driftwatch.record.decision import all_figures
from driftwatch.record.record import record_from_json
from driftwatch.report.render import as_json, html, markdown
from driftwatch.report.summary import summarise
from driftwatch.report.verdict import verdict
from driftwatch.service.app import create_app
from driftwatch.service.library import Library
from driftwatch.store.run_store import RunStore
from driftwatch.wording import net_shift, odds, signed_percent

RECORDED = Path(__file__).parents[1] / "data" / "recorded-run"
STATIC = Path(__file__).parents[2] / "driftwatch" / "service" / "static"
PHRASE = re.compile(r"(\d+) % of replies, toward “([^”]+)”")


def written_now(folder):
    info, records = drifting_run({"parks": FLIPPED})
    store = RunStore(folder / info.run)
    store.create(info)
    store.append_event("begin", attempt=0, step=0)
    for record in records:
        store.append(record)
    return store


def written_before(folder):
    """A run of an earlier version, whose records hold twice the figure as the score shift of its replies."""
    shutil.copytree(RECORDED, folder / "recorded")
    return RunStore(folder / "recorded")


@pytest.fixture(params=[written_now, written_before])
def run(request, tmp_path):
    store = request.param(tmp_path / "runs")
    info, last = store.info(), store.records()[-1]
    return store, info, replace(last, alerts=new_alerts((), last.evidence, poles=poles_of(info), alpha=info.alpha))


def poles_of(info):
    return {topic.id: topic.poles for topic in info.topics if not topic.control}


def direction(record):
    return next(row for row in record.evidence if (row.topic, row.kind) == ("parks", "direction"))


def numbers_of(value, name):
    """Every value under this name, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                yield inner
            yield from numbers_of(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers_of(inner, name)


def of_parks(topics):
    (found,) = [one["net_shift"] for one in topics if one["topic"] == "parks"]
    return found


def test_every_surface_shows_one_net_shift(run):
    store, info, record = run
    row, poles = direction(record), info.topic("parks").poles
    shift = row.estimate
    assert shift < -0.1
    phrase = net_shift(shift, poles)
    (size, pole), *_ = PHRASE.findall(phrase)
    assert (int(size), pole) == (round(100 * abs(shift)), "more building")

    texts = {"verdict": verdict(info, record).headline}
    texts["report, HTML"] = html(summarise(store))
    texts["report, Markdown"] = markdown(summarise(store))
    texts["runs show"] = " ".join(CliRunner().invoke(runs, ["show", str(store.folder)]).stdout.split())
    texts["alert"] = next(alert.text for alert in record.alerts if alert.topic == "parks")
    texts["webhook"] = payload(info, record, record.alerts[0])["text"]
    texts["demo"] = " ".join(demo(info, record, planted="parks", towards=1).findings)
    found = {name: set(PHRASE.findall(text)) for name, text in texts.items()}
    about_parks = {name: {one for one in said if one[1] in poles} for name, said in found.items()}
    assert about_parks == {name: {(size, pole)} for name in texts}

    signed = {"report, HTML": texts["report, HTML"], "report, Markdown": texts["report, Markdown"]}
    console = Console(width=200, record=True)
    console.print(drift_table(info, record))
    signed["table"] = console.export_text()
    assert all(signed_percent(shift) in text for text in signed.values())

    numbers = {"report, JSON": of_parks(json.loads(as_json(summarise(store)))["topics"])}
    shown = json.loads(CliRunner().invoke(runs, ["show", str(store.folder), "--json"]).stdout)
    numbers["runs show, JSON"] = of_parks(shown["topics"])
    numbers["its verdict"] = shown["verdict"]["figures"]["net_shift"]
    (listed,) = json.loads(CliRunner().invoke(runs, ["list", str(store.folder.parent), "--json"]).stdout)
    numbers["runs list"] = listed["net_shift"]
    assert listed["net shift"] == f"Parks: {phrase}"
    numbers["webhook"] = payload(info, record, record.alerts[0])["driftwatch"]["net_shift"]
    numbers["trackers"] = scalars(info, record)["driftwatch/drift_net_shift_ratio/parks/start"]
    exporter = PrometheusExporter(port=None)
    exporter.open(info, store)
    exporter.export(record)
    numbers["exporter"] = exporter.registry.get_sample_value(
        "driftwatch_drift_net_shift_ratio", {"run": info.run, "topic": "parks", "baseline": "start"}
    )
    # The service leaves runs that ended long ago out of a scrape.
    library = Library(store.folder.parent, clock=lambda: record.timestamp + 60)
    library.refresh()
    name = store.folder.name
    with TestClient(create_app(library, hosts=("testserver",))) as client:
        row_of_list = client.get("/api/v1/runs").json()["runs"][0]
        detail = client.get(f"/api/v1/runs/{name}").json()
        curves = client.get(f"/api/v1/runs/{name}/series").json()["columns"]
        metrics = client.get("/metrics").text
    assert PHRASE.findall(row_of_list["verdict"]["headline"]) == [(size, pole)]
    numbers["page, list"] = row_of_list["verdict"]["figures"]["net_shift"]
    numbers["page, run"] = of_parks(detail["topics"])
    numbers["page, curve"] = curves["evidence"]["parks"]["direction"]["net_shift"][-1]
    numbers["/metrics"] = next(
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "driftwatch_drift_net_shift_ratio" and sample.labels["topic"] == "parks"
    )
    assert numbers == {name: pytest.approx(shift, abs=1e-5) for name in numbers}  # curves are rounded


def test_no_surface_shows_the_fact_a_second_time_under_another_name(run):
    store, info, record = run
    double = 2 * direction(record).estimate
    found = [drift.score_shift for drift in record.drifts if drift.probe == "confirm"]
    assert found
    assert not any(found)
    assert "evidence_estimate" not in " ".join(scalars(info, record))
    assert not [name for name in scalars(info, record) if "score_shift" in name and "confirm" in name]
    library = Library(store.folder.parent)
    library.refresh()
    name = store.folder.name
    with TestClient(create_app(library, hosts=("testserver",))) as client:
        detail = client.get(f"/api/v1/runs/{name}").json()
        curves = client.get(f"/api/v1/runs/{name}/series").json()["columns"]
    for value in (detail, json.loads(as_json(summarise(store)))):
        shifts = [one for one in numbers_of(value, "score_shift") if one is not None]
        assert double not in [pytest.approx(one) for one in shifts]
    assert "confirm" in curves["drifts"]["parks"]
    assert "score_shift" not in curves["drifts"]["parks"]["confirm"]["start"]
    assert "estimate" not in curves["evidence"]["parks"]["direction"]


def test_every_surface_names_one_onset_and_one_evidence(run):
    """The neutral share may have an onset of its own; what is marked is the onset of the alert in the headline."""
    store, info, record = run
    first = direction(record)
    other = next(row for row in record.evidence if (row.topic, row.kind) == ("parks", "neutral"))
    early = replace(other, state="alert", label="unsettled", onset_step=first.onset_step - 25)
    strong = replace(first, log10_value_e_value=first.log10_e_value - 5)
    swapped = {other: early, first: strong}
    record = replace(record, look=record.look + 1, evidence=tuple(swapped.get(row, row) for row in record.evidence))
    store.append(record)
    step, said = first.onset_step, odds(strong.log10_value_e_value)
    headline = verdict(info, record).headline
    assert f"since step {step}:" in headline
    assert f"evidence {said}" in headline
    (figures,) = [one for one in all_figures(info, record) if one.topic == "parks"]
    assert (figures.onset_step, figures.log10_evidence) == (step, strong.log10_value_e_value)
    alerts = new_alerts((), record.evidence, poles=poles_of(info), alpha=info.alpha)
    text = next(alert.text for alert in alerts if alert.kind == "direction")
    assert f"since step {step}:" in text
    assert f"evidence {said} from" in text
    summary = summarise(store)
    assert f"before step {step};" in markdown(summary)
    assert said in markdown(summary)
    assert odds(first.log10_e_value) not in html(summary)


def test_the_page_draws_what_the_service_says_and_computes_no_figure_of_its_own():
    page = (STATIC / "run.js").read_text()
    assert "this.detail.topics" in page
    assert "net_shift" in page
    assert "found.score" not in page
    assert "onset_step !== null" not in page


def test_a_screen_alone_has_no_net_shift():
    info, records = drifting_run({"parks": FLIPPED})
    record = replace(records[-1], evidence=(), drifts=tuple(d for d in records[-1].drifts if d.probe != "confirm"))
    assert all_figures(info, record) == ()
    said = verdict(info, record)
    assert said.figures is None
    assert "of replies" not in said.headline
    assert "on the screen" in said.headline or "the screen's score" in said.headline
    names = scalars(info, record)
    assert not [name for name in names if "net_shift" in name]
    assert "driftwatch/drift_score_shift/parks/statement/start" in names


def test_what_an_earlier_version_wrote_is_read_as_what_it_is():
    line = (RECORDED / "records.jsonl").read_text().splitlines()[-1]
    written = {d["topic"]: d["score_shift"] for d in json.loads(line)["drifts"] if d["probe"] == "confirm"}
    record = record_from_json(line)
    assert direction(record).net_shift == pytest.approx(written["parks"] / 2)
