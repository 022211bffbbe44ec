"""Every expression of every dashboard and rule, on the history of a recorded real run, in a real Prometheus.

The run is the one of training.py (tests/data/recorded-run): its records are laid out as a scrape every 15 s would have
seen them, ending now, and given to Prometheus as blocks.
"""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from support.requires import tool
from support.servers import answers, free_port, wait_for

from driftwatch.monitoring.config import Config
from driftwatch.monitoring.dashboards.all_dashboards import dashboards
from driftwatch.monitoring.files import rules_text
from driftwatch.record.samples import samples
from driftwatch.store.run_store import RunStore

pytestmark = pytest.mark.stack
RECORDED = Path(__file__).parents[2] / "data" / "recorded-run"
INTERVAL = 15  # seconds between two scrapes
LOOK_SECONDS = 300  # between two observations

# What a run that went well and was not resumed shows nothing of.
EMPTY = {
    "health, Failed observations in 6h, A",
    "health, Undelivered records in 6h, A",
    "run, annotation Resumes",
    # The run's model stayed finite and its alert can be told.
    "health, Not finite since step, A",
    "overview, Runs, I",
    "run, Why nothing can be told, A",
    # Its replies were judged, so no figure of the screen stands in their place.
    "overview, The screen's largest score shifts, A",
    # It was recorded before these were kept, and its baseline was reached by switching an adapter off.
    "health, Replies of the baseline that are left, A",
    "run, Baseline replies that are left, A",
    "run, Unclassified replies by reason, A",
}


@pytest.fixture(scope="module")
def history():
    """(info, [(Unix time, record, state)]), the last one now."""
    store = RunStore(RECORDED)
    records = store.records()
    now = int(time.time())
    start = now - LOOK_SECONDS * len(records)
    moments = []
    for moment in range(start, now + 1, INTERVAL):
        number = min((moment - start) // LOOK_SECONDS, len(records) - 1)
        moments.append((moment, replace(records[number], timestamp=float(start + number * LOOK_SECONDS))))
    return store.info(), moments


@pytest.fixture(scope="module")
def prometheus(history, tmp_path_factory):
    """The address of a Prometheus that holds the history and evaluates our rules."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "history.txt").write_text(open_metrics(*history))
    command = [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "rules.yml").write_text(rules_text(Config(evaluation_interval="1s")))
    (folder / "prometheus.yml").write_text("rule_files: [rules.yml]\n")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [f"--web.listen-address=127.0.0.1:{port}", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with subprocess.Popen(
        [tool("prometheus"), *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for("Prometheus", lambda: answers(f"{url}/-/ready"), seconds=30)
            yield url
        finally:
            process.terminate()


def open_metrics(info, moments):
    lines = {}
    for moment, record in moments:
        found = samples(info, record, state="running", heartbeat=float(moment))
        for sample in found:
            metric = sample.metric
            names = ("run", *metric.labels, "job", "instance")
            values = (*sample.labels, "driftwatch", "trainer:9464")
            labels = ",".join(f"{name}={json.dumps(value)}" for name, value in zip(names, values, strict=True))
            lines.setdefault(metric, []).append(f"{metric.name}{{{labels}}} {float(sample.value)} {moment}")
    blocks = [
        f"# TYPE {metric.name.removesuffix('_total')} {metric.kind}\n" + "\n".join(found)
        for metric, found in lines.items()
    ]
    return "\n".join([*blocks, "# EOF", ""])


def ask(url, expr, moments=()):
    """Series; with `moments`, over the time of the history instead of now."""
    query = {"query": expr}
    if moments:
        query |= {"start": moments[0][0], "end": moments[-1][0], "step": INTERVAL}
    path = "query_range" if moments else "query"
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=20) as reply:
            return json.load(reply)["data"]["result"]
    except urllib.error.HTTPError as err:
        raise AssertionError(f"{expr}: {err.read().decode()}") from err


def filled(expr, probe):
    chosen = {"$__interval": "15s", "$__range": "40m", "$run": "r1", "$topic": "parks", "$baseline": "start"}
    for name, value in (*chosen.items(), ("$probe", probe)):
        expr = expr.replace(name, value)
    assert "$" not in expr.replace('"$1"', ""), expr
    return expr


def expressions():
    for name, found in dashboards(Config()).items():
        for panel in found["panels"]:
            for query in panel.get("targets", ()):
                yield f"{name}, {panel['title']}, {query['refId']}", query["expr"], not query["instant"]
        for annotation in found["annotations"]["list"]:
            yield f"{name}, annotation {annotation['name']}", annotation["expr"], True


def test_every_expression_of_every_dashboard_returns_data(prometheus, history):
    wait_for("alerts of the recorded run", lambda: ask(prometheus, "ALERTS"), seconds=30)
    empty = set()
    for where, expr, is_range in expressions():
        asked = [filled(expr, probe) for probe in ("statement", "confirm")]
        # A control is not among the chosen topics of a panel that shows both.
        asked += [re.sub(r'topic=~"parks"', 'topic=~".*"', one) for one in asked]
        # Alerts are younger than the history, so now counts as well.
        if not any(ask(prometheus, one, history[1] if is_range else ()) or ask(prometheus, one) for one in asked):
            empty.add(where)
    assert empty == EMPTY


def test_curves_over_steps_have_one_point_for_each_look_with_its_step(prometheus, history):
    panel = next(
        panel
        for panel in dashboards(Config())["run"]["panels"]
        if panel["type"] == "trend" and panel["title"] == "Evidence over steps"
    )
    step, evidence = (filled(query["expr"], "confirm") for query in panel["targets"][:2])
    records = list({record.look: record for _, record in history[1]}.values())
    steps = {moment: float(value) for moment, value in ask(prometheus, step, history[1])[0]["values"]}
    assert list(steps.values()) == [record.step for record in records]
    direction = next(found for found in ask(prometheus, evidence, history[1]) if found["metric"]["kind"] == "direction")
    by_step = {steps[moment]: float(value) for moment, value in direction["values"]}
    for record in records[2:]:
        row = next(row for row in record.evidence if (row.topic, row.kind) == ("parks", "direction"))
        assert by_step[record.step] == pytest.approx(row.log10_e_value)


def test_every_recording_has_data_and_the_planted_topic_fires(prometheus, history):
    rules = json.load(urllib.request.urlopen(f"{prometheus}/api/v1/rules", timeout=5))["data"]["groups"][0]["rules"]
    names = {rule["name"] for rule in rules if rule["type"] == "recording"}
    missing = {name for name in names if not wait_for(name, lambda n=name: [ask(prometheus, n)], seconds=5)[0]}
    assert not missing
    fired = {(alert["metric"]["alertname"], alert["metric"].get("topic")) for alert in ask(prometheus, "ALERTS")}
    assert ("DriftwatchValueDriftBeyondTolerance", "parks") in fired
    assert {topic for name, topic in fired if "ValueDrift" in name} == {"parks"}
    assert not [rule for rule in rules if rule["health"] != "ok"]


def test_stated_share_of_recorded_series_is_what_federation_carries(prometheus):
    """deploy/README.md says a tenth."""
    recorded = len(ask(prometheus, '{__name__=~"run.*:driftwatch_.*"}'))
    everything = len(ask(prometheus, '{__name__=~"driftwatch_.*"}'))
    assert 0.05 < recorded / everything < 0.25
