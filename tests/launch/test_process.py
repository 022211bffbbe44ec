"""The command under the prefix behaves as without it: exit code, signals, environment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from driftwatch.errors import ConfigError
from driftwatch.launch.notes import Note, check, collect
from driftwatch.launch.process import NotStarted, environment, run, shown

WAITING = """
import signal, sys
def handle(number, frame):
    print(signal.Signals(number).name, flush=True)
    sys.exit(7)
for name in ("SIGTERM", "SIGINT", "SIGUSR1"):
    signal.signal(getattr(signal, name), handle)
print("ready", flush=True)
signal.pause()
"""
PARENT = "import os, sys; from driftwatch.launch.process import run; sys.exit(run(sys.argv[1:], os.environ))"


@pytest.mark.parametrize(
    ("code", "expected"), [("pass", 0), ("raise SystemExit(5)", 5), ("import os; os.abort()", 134)]
)
def test_the_exit_code_is_the_commands_own(code, expected):
    assert run([sys.executable, "-c", code], os.environ) == expected


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signals_reach_the_command(name):
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, sys.executable, "-c", WAITING],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, name))
        assert process.communicate(timeout=60)[0] == f"{name}\n"
        assert process.returncode == 7
    finally:
        process.kill()
        process.wait()


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    run([sys.executable, "-c", "pass"], os.environ)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_that_is_not_there_is_named():
    with pytest.raises(NotStarted, match='there is no "nonsuch-program" on PATH') as found:
        run(["nonsuch-program"], os.environ)
    assert found.value.exit_code == 127


def test_a_script_without_permission_gets_a_hint(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("pass")
    with pytest.raises(NotStarted, match=r"For a script write: -- python .*train.py") as found:
        run([str(script)], os.environ)
    assert found.value.exit_code == 126


def test_the_settings_are_named_by_their_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = environment({"A": "1"}, notes=tmp_path, config=Path("drift.yaml"))
    assert found["DRIFTWATCH_CONFIG"] == str(tmp_path / "drift.yaml")
    assert found["A"] == "1"
    assert os.pathsep not in found["PYTHONPATH"]


def test_long_commands_are_cut():
    assert shown(["echo", "a b"]) == "echo 'a b'"
    assert len(shown(["x" * 500])) == 120


@pytest.mark.parametrize(
    ("notes", "why"),
    [
        ([], "no Python below it imported the Trainer of transformers"),
        ([Note("loaded")], "it imported transformers, and no Trainer began to train"),
        ([Note("failed", "/py: No module named 'driftwatch'")], "could not begin in /py: No module .* pip install"),
    ],
)
def test_a_command_in_which_nothing_was_watched_says_how_far_it_came(notes, why):
    with pytest.raises(ConfigError, match=f"nothing was watched in `train`: .*{why}"):
        check(notes, "train")


@pytest.mark.parametrize("kind", ["attached", "own", "unfit"])
def test_a_training_that_was_watched_or_left_alone_with_a_line_is_enough(kind):
    check([Note("loaded"), Note("unfit", "a reward model"), Note(kind)], "train")


def test_torn_notes_are_passed_over(tmp_path):
    (tmp_path / "1.jsonl").write_text('{"kind": "loaded", "text": "", "folder": ""}\n{"kind": "atta')
    assert collect(tmp_path) == [Note("loaded")]
