"""What a run will do, with where each setting comes from."""

import pytest

from driftwatch.config import load_config
from driftwatch.config.resolved import HIDDEN, check_environment, settings, variables
from driftwatch.errors import ConfigError
from driftwatch.watch.schedule import Schedule


def found(folder, text="", **environment):
    path = folder / "drift.yaml"
    path.write_text(text)
    return {setting.key: setting for setting in settings(load_config(path), environment)}


def test_each_setting_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drift.yaml").write_text("pack: quick\nschedule:\n  every_steps: 7\n")
    shown = {s.key: s for s in settings(load_config("drift.yaml"), {"DRIFTWATCH_ADDRESS": "0.0.0.0"})}
    assert shown["pack"][1:] == ("quick", "drift.yaml:1")
    assert shown["schedule.every_steps"][1:] == (7, "drift.yaml:3")
    assert shown["schedule.budget"][1:] == (Schedule().budget, "default")
    assert shown["exporters.prometheus.address"][1:] == ("0.0.0.0", "DRIFTWATCH_ADDRESS")
    assert shown["exporters.prometheus.port"][1:] == (9464, "default")


def test_a_section_that_is_null_has_no_keys_and_one_that_is_given_has_all(tmp_path):
    assert [key for key in found(tmp_path) if key.startswith("confirm")] == ["confirm"]
    shown = found(tmp_path, "confirm: {normal_draws: 3}")
    assert (shown["confirm.normal_draws"].value, shown["confirm.judge"].value) == (3, "sides")
    assert shown["confirm.decoding.temperature"].source == "default"


def test_the_port_of_the_environment_wins_and_the_service_of_the_file_wins(tmp_path):
    text = "exporters: [{prometheus: {port: 1}}, {service: {url: 'http://a'}}]"
    shown = found(tmp_path, text, DRIFTWATCH_PORT="2", DRIFTWATCH_SERVICE="http://b")
    assert shown["exporters.prometheus.port"].value == 2
    assert shown["exporters.service.url"].value == "http://a"
    assert found(tmp_path, "exporters: [service]", DRIFTWATCH_SERVICE="http://b")["exporters.service.url"].value == (
        "http://b"
    )


def test_nothing_secret_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("driftwatch.plugins.names", lambda kind: ["other", "prometheus", "endpoint"])
    text = """
exporters:
- prometheus: {pushgateway: "http://user:pass-word@gateway:9091"}
- other: {api_key: key-1, nested: {password: key-2}, list: ["https://u:key-3@h/"]}
confirm: {judge: "endpoint:m@https://u:key-4@h/v1"}
"""
    environment = {"DRIFTWATCH_TOKEN": "key-5", "DRIFTWATCH_WEBHOOK": "key-6", "DRIFTWATCH_SERVICE": "http://u:key-7@h"}
    shown = repr([found(tmp_path, text, **environment), variables(environment)])
    assert "gateway:9091" in shown
    assert "pass-word" not in shown
    assert "key-" not in shown
    assert HIDDEN in shown


def test_max_tokens_is_no_secret(tmp_path):
    shown = found(tmp_path, "probes: [{statement: {max_tokens: 512}}]\nconfirm: {}")
    assert shown["probes.statement.max_tokens"].value == 512
    assert shown["confirm.decoding.max_new_tokens"].value == 24


@pytest.mark.parametrize("port", ["http", "-1", "70000", "1.5"])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ConfigError, match="DRIFTWATCH_PORT is a number from 0 to 65535"):
        check_environment({"DRIFTWATCH_PORT": port})
    check_environment({"DRIFTWATCH_PORT": "9470"})
    check_environment({})
