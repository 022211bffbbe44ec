"""`driftwatch grafana`: what it prints, and its exit codes."""

import pytest
from click.testing import CliRunner
from support.fake_grafana import FakeGrafana

from driftwatch.cli import group
from driftwatch.errors import ConfigError
from driftwatch.monitoring.grafana import GrafanaError

pytest.importorskip("grafana_api")


@pytest.fixture
def server(monkeypatch):
    fake = FakeGrafana()
    monkeypatch.setenv("GRAFANA_URL", fake.url)
    monkeypatch.setenv("GRAFANA_TOKEN", fake.TOKEN)
    yield fake
    fake.close()


def invoke(*arguments):
    return CliRunner().invoke(group, ["grafana", *arguments])


def test_apply_says_what_it_does_and_then_nothing_is_left(server):
    first = invoke("apply", "--datasource-url", "http://prometheus:9090")
    assert first.exit_code == 0, first.output
    assert "create dashboard    Driftwatch / Run" in first.output
    assert "6 to change, 0 as they should be" in first.output
    second = invoke("apply", "--datasource-url", "http://prometheus:9090")
    assert second.output == "0 to change, 6 as they should be\n"


def test_dry_run_and_diff_change_nothing_and_diff_tells_by_its_exit_code(server):
    assert "create folder" in invoke("apply", "--dry-run").output
    assert invoke("diff").exit_code == 1
    assert server.writes() == []
    invoke("apply")
    assert invoke("diff").exit_code == 0


def test_remove_takes_everything_out(server):
    invoke("apply", "--rules")
    assert "remove rule group" in invoke("remove", "--rules", "--dry-run").output
    assert server.groups
    done = invoke("remove", "--rules")
    assert done.output.endswith("removed 6\n")
    assert (server.groups, server.dashboards, server.folders) == ({}, {}, {})


def test_links_lead_to_the_grafana_that_they_are_put_into(server):
    invoke("apply", "--rules")
    rule = server.groups["driftwatch", "driftwatch"]["rules"][0]
    assert rule["annotations"]["runbook_url"].startswith(f"{server.url}/d/driftwatch-runbook")


def test_missing_credentials_are_said(server, monkeypatch):
    monkeypatch.delenv("GRAFANA_TOKEN")
    done = invoke("apply")
    assert isinstance(done.exception, ConfigError)
    assert "GRAFANA_TOKEN" in str(done.exception)


def test_wrong_credentials_are_said_and_nothing_is_written(server, monkeypatch):
    monkeypatch.setenv("GRAFANA_TOKEN", "wrong")
    done = invoke("apply")
    assert isinstance(done.exception, GrafanaError)
    assert server.writes() == []


def test_contradicting_certificate_settings_are_refused(server, tmp_path):
    (tmp_path / "ca.pem").write_text("")
    done = invoke("apply", "--insecure", "--ca-file", str(tmp_path / "ca.pem"))
    assert isinstance(done.exception, ConfigError)
    assert "pass one of them" in str(done.exception)


def test_errors_become_one_sentence_and_exit_code_3(server, monkeypatch, capsys):
    from driftwatch.cli import main

    monkeypatch.setenv("GRAFANA_TOKEN", "wrong")
    monkeypatch.setattr("sys.argv", ["driftwatch", "grafana", "apply"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 3
    error = capsys.readouterr().err
    assert error.startswith("driftwatch: http://127.0.0.1:")
    assert error.count("\n") == 1
