"""Settings of the generated files: what they change, and what is refused before anything is written."""

import re

import pytest
import yaml
from click.testing import CliRunner
from support.promtool import check_rules

from driftwatch.cli import group
from driftwatch.errors import ConfigError
from driftwatch.monitoring.config import Config, Thresholds, duration, seconds, with_thresholds
from driftwatch.monitoring.dashboards.all_dashboards import dashboards
from driftwatch.monitoring.files import everything, rules_text
from driftwatch.monitoring.rules.rules import all_alerts, laid_out, rule_groups


def alerts(config):
    rules = rule_groups(config)["groups"][0]["rules"]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def test_selector_stands_on_every_series_of_rules_texts_and_dashboards(tmp_path):
    config = Config(selector='cluster="a", team=~"x or y"')
    assert check_rules(rules_text(config), tmp_path) == ""
    asked = [rule["expr"] for rule in rule_groups(config)["groups"][0]["rules"]]
    asked += [text for rule in alerts(config).values() for text in rule["annotations"].values()]
    for dashboard in dashboards(config).values():
        asked += [query["expr"] for panel in dashboard["panels"] for query in panel.get("targets", ())]
    series = [
        found for text in asked for found in re.findall(r"(?<![\w:/])driftwatch_\w+(?![\w:])(?:\{[^}]*\})?", text)
    ]
    assert len(series) > 100
    assert all('{cluster="a", team=~"x or y"' in found for found in series)


def test_prefix_renames_alerts_dashboards_folder_and_runbook():
    texts = everything(Config(prefix="Acme"))
    assert "prometheus/rules/acme.rules.yml" in texts
    assert not re.search(r"\bDriftwatch", "".join(texts.values()))
    assert all(name.startswith("Acme") for name in alerts(Config(prefix="Acme")))
    assert all(found["uid"].startswith("acme-") for found in dashboards(Config(prefix="Acme")).values())
    assert "# alert" not in texts["runbook.md"]
    assert "## AcmeValueDrift" in texts["runbook.md"]


def test_severity_is_changed_or_the_alert_left_out():
    found = alerts(Config(severities={"ValueDrift": "critical", "StanceFlipped": "off"}))
    assert found["DriftwatchValueDrift"]["labels"]["severity"] == "critical"
    assert "DriftwatchStanceFlipped" not in found
    assert len(found) == len(all_alerts(Config())) - 1


def test_alert_keeps_its_place_in_the_runbook_when_another_is_left_out():
    before, after = alerts(Config()), alerts(Config(severities={"ValueDrift": "off"}))
    for name, rule in after.items():
        assert rule["annotations"]["runbook_url"] == before[name]["annotations"]["runbook_url"]


def test_runbook_address_is_the_users_own_with_the_alert_as_its_anchor():
    found = alerts(Config(runbook_url="https://wiki.example.org/drift"))
    url = found["DriftwatchValueDrift"]["annotations"]["runbook_url"]
    assert url == "https://wiki.example.org/drift#driftwatchvaluedrift"


def test_links_lead_to_the_users_grafana():
    found = alerts(Config(grafana_url="https://grafana.example.org/sub/"))["DriftwatchValueDrift"]["annotations"]
    assert found["runbook_url"] == "https://grafana.example.org/sub/d/driftwatch-runbook?viewPanel=1"
    assert found["dashboard_url"].startswith("https://grafana.example.org/sub/d/driftwatch-run?var-run=")


def test_only_specific_value_alerts_wake_somebody():
    """Everything else about what the model answers is information, and nothing reads the state "watch"."""
    for alert in all_alerts(Config()):
        assert '"watch"' not in alert.expr
        assert "watch" not in re.findall(r'state=~?"([^"]*)"', alert.expr)
        if alert.page == "run" and alert.severity == "critical":
            assert alert.name == "ValueDriftBeyondTolerance"
            assert 'label="specific"' in alert.expr


def test_rule_without_a_stated_rate_says_so():
    for alert in all_alerts(Config()):
        assert ("no stated false-alarm rate" in alert.full_description) == (not alert.anytime_valid)
    stated = {alert.name for alert in all_alerts(Config()) if alert.anytime_valid}
    assert stated == {
        "ValueDrift",
        "ValueDriftBeyondTolerance",
        "GeneralDrift",
        "RepliesUnreadable",
        "DriftUnsettled",
        "RunFinishedDrifted",
    }


def test_latched_states_alert_at_once():
    assert {alert.hold for alert in all_alerts(Config()) if alert.anytime_valid} == {"0m"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"selector": "cluster=a"}, "selector is a list of label matchers"),
        ({"selector": '{cluster="a"}'}, "without braces"),
        ({"selector": 'cluster="a"} or vector(1'}, "without braces"),
        ({"service_selector": " "}, "must name the job"),
        ({"prefix": "my alerts"}, "one CamelCase word"),
        ({"scrape_interval": "15"}, "for example 15s; found '15'"),
        ({"evaluation_interval": "0s"}, "found '0s'"),
    ],
)
def test_setting_that_cannot_work_is_refused(settings, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        Config(**settings)


def test_unknown_names_are_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"no threshold 'overhed'; thresholds: .*overhead"):
        with_thresholds({"overhed": 0.1})
    with pytest.raises(ConfigError, match=r"no alert 'DriftwatchValueDrift'; alerts: ValueDrift"):
        all_alerts(Config(severities={"DriftwatchValueDrift": "off"}))
    with pytest.raises(ConfigError, match="is one of info, warning, critical, off; found 'page'"):
        all_alerts(Config(severities={"ValueDrift": "page"}))


def test_every_threshold_is_read_by_something():
    """A setting that changes nothing is a lie."""
    from dataclasses import fields

    before = everything(Config())
    for field in fields(Thresholds):
        changed = with_thresholds({field.name: getattr(Thresholds(), field.name) * 1.5})
        assert everything(Config(thresholds=changed)) != before, field.name


def test_durations_are_read_and_written():
    assert [seconds(text) for text in ("15s", "2m", "6h", "1d")] == [15, 120, 21600, 86400]
    assert [duration(value) for value in (15, 120, 21600, 86400, 90)] == ["15s", "2m", "6h", "1d", "90s"]


def test_long_expression_is_laid_out_without_being_changed():
    expr = f'max by (run) (a{{b="x or y"}}) == 1 and on (run) (c == 2 unless on (run) {"d" * 90} > 3)'
    assert laid_out(expr).count("\n") == 2
    assert " ".join(laid_out(expr).split()) == expr


def test_files_are_written_below_the_folder(tmp_path):
    done = CliRunner().invoke(group, ["mixin", "--out", str(tmp_path / "new"), "--only", "dashboards"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "overview.json",
        "run.json",
        "health.json",
        "runbook.json",
    }


def test_command_changes_what_it_is_told_to(tmp_path):
    arguments = ["--threshold", "overhead=0.5", "--severity", "OverheadHigh=critical", "--prefix", "Acme"]
    done = CliRunner().invoke(group, ["mixin", "--out", str(tmp_path), "--only", "rules", *arguments])
    assert done.exit_code == 0, done.output
    rules = yaml.safe_load((tmp_path / "acme.rules.yml").read_text())["groups"][0]["rules"]
    overhead = next(rule for rule in rules if rule.get("alert") == "AcmeOverheadHigh")
    assert "> 0.5" in overhead["expr"]
    assert overhead["labels"]["severity"] == "critical"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "overhead"], "--threshold takes NAME=VALUE with a number"),
        (["--severity", "ValueDrift=loud"], "--severity takes NAME=VALUE with one of info, warning, critical, off"),
        (["--selector", "x"], "selector is a list of label matchers"),
    ],
)
def test_command_refuses_before_it_writes(arguments, message, tmp_path):
    done = CliRunner().invoke(group, ["mixin", "--out", str(tmp_path / "new"), *arguments])
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert not (tmp_path / "new").exists()


def test_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(group, ["mixin", "--out", str(tmp_path / "file"), "--only", "rules"])
    assert isinstance(done.exception, ConfigError)
    assert "give a folder that can" in str(done.exception)
