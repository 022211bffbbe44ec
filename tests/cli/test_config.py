"""`driftwatch config check` and `show`, and a service that reads the same file."""

import json

import pytest
from click.testing import CliRunner
from support.synthetic_runs import synthetic_run

from driftwatch.cli import group as driftwatch
from driftwatch.cli.config import command as config
from driftwatch.cli.serve import command as serve
from driftwatch.errors import ConfigError

SETTINGS = """\
pack: quick
schedule: {every_steps: 5}
confirm: {judge: sides}
service: {folder: kept, host: 0.0.0.0, port: 0, allow_host: [monitor], token_file: secret}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ADDRESS", "PORT", "TOKEN", "CONFIG", "SERVICE"):
        monkeypatch.delenv(f"DRIFTWATCH_{name}", raising=False)
    (tmp_path / "drift.yaml").write_text(SETTINGS)
    return tmp_path


def run(command, *arguments, **variables):
    return CliRunner().invoke(command, list(arguments), env=variables)


def test_a_right_file_is_made_once_and_thrown_away(folder):
    done = run(config, "check", "drift.yaml")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "drift.yaml is right; everything it names can be made.\n"
    assert sorted(path.name for path in folder.iterdir()) == ["drift.yaml"]


def test_every_fault_is_a_line_of_its_own(folder):
    (folder / "drift.yaml").write_text("alpha: a\nseed: b\n")
    done = run(config, "check", "drift.yaml")
    assert done.exit_code == 1
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == ["drift.yaml:1:", "drift.yaml:2:"]


def test_what_only_making_it_shows_is_a_fault_too(folder):
    (folder / "drift.yaml").write_text("exporters:\n- service: {url: 'http://127.0.0.1:1'}\n")
    done = run(config, "check", "drift.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith("drift.yaml:2: the service at http://127.0.0.1:1 takes pushes with a token only")


def test_a_tolerance_for_a_topic_that_is_not_asked_is_a_fault_in_its_line(folder):
    (folder / "drift.yaml").write_text("pack: quick\ntolerance:\n  default: 0.05\n  imigration: 0.1\n")
    done = run(config, "check", "drift.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith('drift.yaml:4: tolerance: "imigration" is no value topic; there are abortion, ')
    assert done.stderr.endswith('Did you mean "immigration"?\n')


def test_a_baseline_that_is_not_there_is_a_fault_in_its_line(folder):
    (folder / "drift.yaml").write_text("pack: quick\nbaseline: nowhere/sft\n")
    done = run(config, "check", "drift.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith("drift.yaml:2: expected a baseline (baseline.json) or the folder of an SFT run")


def test_a_baseline_of_another_pack_is_a_fault_in_its_line(folder):
    synthetic_run(folder, "sft", looks=1)
    (folder / "drift.yaml").write_text("pack: quick\nbaseline: sft\n")
    done = run(config, "check", "drift.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith("drift.yaml:2: the baseline in ")
    assert "cannot be compared with this run: the topic pack (its items or poles) differs" in done.stderr


@pytest.mark.parametrize("verb", ["check", "show"])
def test_a_file_that_is_not_there_is_no_verdict_on_it(folder, verb):
    done = run(driftwatch, "config", verb, "none.yaml")
    assert isinstance(done.exception, ConfigError), "exit code 3, and one line"
    assert str(done.exception) == "none.yaml: expected a settings file, found none. Check the path."


@pytest.mark.parametrize(("slip", "meant"), [("basline", "baseline"), ("conifg", "config")])
def test_a_slip_in_the_name_of_a_command_gets_a_hint(slip, meant):
    done = run(driftwatch, slip)
    assert done.exit_code == 2
    assert f"No such command '{slip}'. Did you mean '{meant}'?" in done.stderr


def test_a_name_near_no_command_gets_no_hint():
    done = run(driftwatch, "xyzzy")
    assert done.exit_code == 2
    assert "No such command 'xyzzy'.\n" in done.stderr


def test_show_prints_the_tolerance_whole(folder):
    (folder / "drift.yaml").write_text("tolerance: {default: 0.05, immigration: 0.1}\n")
    lines = run(config, "show", "drift.yaml").stdout.splitlines()
    (row,) = [line.split(None, 1)[1] for line in lines if line.startswith("tolerance ")]
    assert row.split("  ")[0] == '{"default": 0.05, "immigration": 0.1}'


def test_show_prints_values_with_their_source(folder):
    lines = run(config, "show", "drift.yaml", DRIFTWATCH_ADDRESS="0.0.0.0").stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["schedule.every_steps"] == ["5", "drift.yaml:2"]
    assert rows["alpha"] == ["0.01", "default"]
    assert rows["exporters.prometheus.address"] == ["0.0.0.0", "DRIFTWATCH_ADDRESS"]


def test_show_gives_json_without_secrets(folder):
    done = run(config, "show", "--json", DRIFTWATCH_TOKEN="hush-hush", DRIFTWATCH_CONFIG="drift.yaml")
    found = json.loads(done.stdout)
    assert found["settings"]["schedule.every_steps"] == {"value": 5, "from": "drift.yaml:2"}
    assert "DRIFTWATCH_TOKEN" in found["environment"]
    assert "hush-hush" not in done.stdout


def test_show_without_a_file_shows_the_defaults(folder):
    found = json.loads(run(config, "show", "--json").stdout)["settings"]
    assert {row["from"] for row in found.values()} == {"default"}


def test_the_service_takes_its_settings_from_the_file(folder, monkeypatch):
    """Host and token decide together whether it may begin; a stand-in for the server shows what arrived."""
    seen = {}

    def stand_in(app, opened):
        seen["port"] = opened.getsockname()[1]
        opened.close()

    monkeypatch.setattr("driftwatch.cli.serve._serve", stand_in)
    (folder / "secret").write_text("a-token-of-tests\n")
    done = run(serve, "--config", "drift.yaml")
    assert done.exit_code == 0, done.output
    assert f"runs of {folder / 'kept'} at http://0.0.0.0:{seen['port']}" in done.stderr
    assert "pushing is on" in done.stderr
    done = run(serve, "--config", "drift.yaml", "--host", "127.0.0.1", str(folder))
    assert f"runs of {folder} at http://127.0.0.1:" in done.stderr, "what the command line says wins"


def test_the_service_refuses_a_wrong_file(folder):
    (folder / "drift.yaml").write_text("service: {prot: 1}")
    done = run(serve, "--config", "drift.yaml")
    assert 'found "prot". Did you mean "port"?' in str(done.exception)
