"""Dashboards: what Grafana would refuse or show empty is found here."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.drifting import FLIPPED, REFUSING, drifting_run
from support.promtool import check_rules

from driftwatch.drift.fault import ModelFault
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.monitoring.config import Config
from driftwatch.monitoring.dashboards.all_dashboards import dashboards, runbook
from driftwatch.monitoring.dashboards.panels import DATASOURCE
from driftwatch.monitoring.files import dashboard_texts
from driftwatch.monitoring.rules.rules import all_alerts
from driftwatch.monitoring.rules.yaml_text import to_yaml
from driftwatch.record.metrics import CATALOGUE
from driftwatch.store.run_store import RunStore

# Core panels of Grafana that are no Angular ones; trend came with Grafana 10.
KINDS = {"timeseries", "stat", "gauge", "bargauge", "table", "heatmap", "state-timeline", "text", "row", "trend"}
LIST = list(dashboards(Config()).items())
PANELS = [(name, panel) for name, found in LIST for panel in found["panels"]]
DRAWN = [(name, panel) for name, panel in PANELS if panel["type"] not in ("row", "text")]
ids = [f"{name}-{panel['title']}" for name, panel in DRAWN]


def expressions():
    """Every PromQL of every dashboard with where it stands: panels, variables, annotations."""
    for name, found in LIST:
        for panel in found["panels"]:
            for query in panel.get("targets", ()):
                yield f"{name}, {panel['title']}, {query['refId']}", query["expr"]
        for annotation in found["annotations"]["list"]:
            yield f"{name}, annotation {annotation['name']}", annotation["expr"]
        for variable in found["templating"]["list"]:
            if variable["type"] == "query":
                series = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
                yield f"{name}, variable {variable['name']}", series[1]


def filled(expr):
    """The expression with Grafana's variables replaced."""
    for name, value in {"__interval": "1m", "__rate_interval": "1m", "__range": "6h"}.items():
        expr = expr.replace(f"${name}", value)
    return re.sub(r"\$\w+", ".*", expr)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """Metric name to label names, from a scrape of our exporter over HTTP of a run that has everything."""
    from urllib.request import urlopen

    info, records = drifting_run({"parks": FLIPPED, "tea": REFUSING})
    exporter = PrometheusExporter(port=0)
    exporter.open(info, RunStore(tmp_path_factory.mktemp("r1")))
    try:
        exporter.export(records[-1])
        with urlopen(f"{exporter.url}/metrics", timeout=10) as reply:
            texts = [reply.read().decode()]
        assert texts[0] == generate_latest(exporter.registry).decode()
        fault = ModelFault("not_finite", 400, "not finite since step 400")
        exporter.export(replace(records[-1], fault=fault, replies_left={"parks": 0}))
        with urlopen(f"{exporter.url}/metrics", timeout=10) as reply:
            texts.append(reply.read().decode())
    finally:
        exporter.close_server()
    found = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_expression_is_promql(tmp_path):
    """Dashboards are no rule files, but a recording rule holds any expression."""
    rules = [{"record": "a:b:c", "expr": filled(expr)} for _, expr in expressions()]
    assert check_rules(to_yaml({"groups": [{"name": "x", "rules": rules}]}), tmp_path, lint="none") == ""


def test_every_metric_and_label_of_dashboards_and_rules_exists_in_a_real_scrape(scraped):
    from driftwatch.monitoring.rules.rules import rule_groups

    rules = rule_groups(Config())["groups"][0]["rules"]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    written = [("rules", rule["expr"]) for rule in rules]
    written += [("text", text) for rule in rules for text in rule.get("annotations", {}).values()]
    for where, expr in [*expressions(), *written]:
        for name in re.findall(r"(?<![\w:])(driftwatch_\w+|\w+:driftwatch_\w+:\w+)", expr):
            assert name in scraped or name in recorded, f"{where} names {name}"
        for name, matchers in re.findall(r"(driftwatch_\w+)\{([^}]*)\}", expr):
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
                assert label in scraped[name], f"{where}: {name} has no label {label}"


def test_every_metric_of_the_catalogue_is_shown_somewhere():
    """A figure that no dashboard shows is one that nobody looks at."""
    everything = " ".join(expr for _, expr in expressions())
    hidden = {metric.name for metric in CATALOGUE if not re.search(rf"{metric.name}\b", everything)}
    assert not hidden


def test_uids_and_titles_are_unique_and_prefixed():
    for key, start in (("uid", "driftwatch-"), ("title", "Driftwatch / ")):
        values = [found[key] for _, found in LIST]
        assert len(set(values)) == len(values)
        assert all(value.startswith(start) for value in values)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", found["uid"]) for _, found in LIST)


@pytest.mark.parametrize(("name", "found"), LIST)
def test_dashboard_asks_the_data_source_of_its_variable_only(name, found):
    """A fixed uid, or the variable of an import page, leaves a provisioned dashboard without data."""
    text = dashboard_texts(Config())[f"{name}.json"]
    assert found["templating"]["list"][0]["type"] == "datasource"
    assert found["templating"]["list"][0]["name"] == "datasource"
    asked = [panel.get("datasource") for _, panel in DRAWN if panel in found["panels"]]
    asked += [query["datasource"] for panel in found["panels"] for query in panel.get("targets", ())]
    asked += [variable["datasource"] for variable in found["templating"]["list"] if variable["type"] == "query"]
    asked += [annotation["datasource"] for annotation in found["annotations"]["list"]]
    assert all(reference == DATASOURCE for reference in asked)
    assert "__inputs" not in text
    assert "${DS_" not in text


@pytest.mark.parametrize(("name", "found"), LIST)
def test_dashboard_pins_nobodys_values(name, found):
    assert found["id"] is None
    assert "version" not in found
    assert 39 <= found["schemaVersion"] <= 41
    for variable in found["templating"]["list"]:
        assert variable["current"] == {}
        assert variable["refresh"] == (1 if variable["type"] == "datasource" else 2)


@pytest.mark.parametrize(("name", "panel"), DRAWN, ids=ids)
def test_panel_says_what_it_shows_its_unit_and_why_it_may_be_empty(name, panel):
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["type"] in KINDS
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert len(defaults["noValue"]) > 10
    assert panel["targets"]
    refs = [query["refId"] for query in panel["targets"]]
    assert len(set(refs)) == len(refs)


@pytest.mark.parametrize(("name", "found"), LIST)
def test_panels_have_ids_of_their_own_and_do_not_overlap(name, found):
    numbers = [panel["id"] for panel in found["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_rows_stand_at_the_left_edge():
    assert all(panel["gridPos"]["x"] == 0 for _, panel in PANELS if panel["type"] == "row")


@pytest.mark.parametrize(
    ("panel", "setting", "alert"),
    [
        ("Since the last observation", "stale_seconds", "ObservationStale"),
        ("Since the last sign of life", "silent_seconds", "RunCrashed"),
        ("Share of the wall time", "overhead", "OverheadHigh"),
        ("Measurements that succeeded", "coverage", "ProbeValidityLost"),
        ("Screen against judged replies", "agreement", "ScreenDisagrees"),
        ("Naysaying", "naysaying_shift", "NaysayingDrift"),
        ("Refusals", "refusal_shift", "RefusalDrift"),
    ],
)
def test_line_in_a_panel_is_the_threshold_of_the_rule(panel, setting, alert):
    """With a value of the test's own, so that both must read the setting."""
    from driftwatch.monitoring.config import with_thresholds

    config = Config(thresholds=with_thresholds({setting: 0.123}))
    rule = next(found for found in all_alerts(config) if found.name == alert)
    assert re.search(r"[<>] 0\.123\b", rule.expr)
    drawn = [
        [step["value"] for step in found["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        for dashboard in dashboards(config).values()
        for found in dashboard["panels"]
        if found["title"] == panel and found["type"] == "timeseries"
    ]
    assert any(0.123 in values for values in drawn)


def test_curves_over_steps_are_joined_over_the_step_of_looks_only():
    found = [panel for _, panel in DRAWN if panel["type"] == "trend"]
    assert len(found) == 2
    for panel in found:
        step = next(query for query in panel["targets"] if query["refId"] == "S")
        assert step["legendFormat"] == panel["options"]["xField"] == "step"
        assert panel["transformations"][0]["id"] == "joinByField"
        assert all(step["expr"] in query["expr"] for query in panel["targets"])
        assert panel["interval"] == Config().scrape_interval


def test_runbook_has_a_section_for_every_alert_with_what_it_means_and_what_to_do():
    sections = runbook(Config())
    assert list(sections) == [alert.name for alert in all_alerts(Config())]
    for name, body in sections.items():
        places = [body.find(f"**{part}.**") for part in ("Meaning", "Check", "Act", "When to ignore")]
        assert all(place >= 0 for place in places), name
        assert all(before < after for before, after in pairwise(places)), name


def test_runbook_dashboard_shows_each_alert_under_the_number_that_its_link_names():
    panels = dict(LIST)["runbook"]["panels"]
    for number, alert in enumerate(all_alerts(Config()), start=1):
        panel = next(panel for panel in panels if panel["id"] == number)
        assert panel["title"] == f"Driftwatch{alert.name}"


def test_runbook_names_every_alert_by_its_severity():
    from driftwatch.monitoring.static import read

    levels = {}
    for line in read("runbook.md").splitlines():
        if match := re.match(r"\| (critical|warning|info) \| (.+?) \|", line):
            levels[match[1]] = match[2]
    for alert in all_alerts(Config()):
        if alert.name.startswith(("ValueDrift", "RunFinished")):
            assert re.search(rf"Driftwatch{alert.name}\b", levels[alert.severity])
