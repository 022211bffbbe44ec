"""What `driftwatch runs` and `driftwatch report` print about folders that hold anything."""

import json

import pytest
from click.testing import CliRunner
from support.builders import record, run_info
from support.hostile import HOSTILE

from driftwatch.cli.report import command as report
from driftwatch.cli.runs import command as runs
from driftwatch.store.run_store import RunStore


def run(command, *arguments):
    done = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def hostile_run(folder, text):
    store = RunStore(folder)
    topics = tuple(type(t)(t.id, text, (text, text), t.control, t.num_items) for t in run_info().topics)
    store.create(run_info(folder.name, model=text, topics=topics, notes=(text,)))
    store.append(record(1, 4, run=folder.name))
    return store


def test_one_folder_that_cannot_be_read_does_not_hide_the_others(tmp_path):
    RunStore(tmp_path / "good").create(run_info("good"))
    RunStore(tmp_path / "good").append(record(1, 4, run="good"))
    newer = RunStore(tmp_path / "newer")
    newer.create(run_info("newer"))
    (newer.folder / "records.jsonl").write_text('{"schema":99}\n')
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_bytes(b'{"run":"to')
    shown = run(runs, "list", tmp_path)
    assert "good" in shown
    assert "newer: this record has schema 99" in shown
    assert "torn: expected a run description" in shown
    rows = {row["run"]: row for row in json.loads(run(runs, "list", tmp_path, "--json"))}
    assert (rows["good"]["looks"], rows["good"]["problem"]) == (1, None)
    assert (rows["newer"]["looks"], rows["newer"]["model"]) == (None, "tiny")
    assert rows["torn"]["model"] is None


@pytest.mark.parametrize("text", [*HOSTILE, "[red]no markup[/red]", "[/]", "x[bold"])
def test_hostile_text_does_nothing_to_a_terminal(tmp_path, text):
    store = hostile_run(tmp_path / "r1", text)
    shown = run(runs, "list", tmp_path) + run(runs, "show", store.folder)
    shown += run(report, store.folder, "--out", tmp_path / "r1.md") + (tmp_path / "r1.md").read_text()
    assert not set("\x1b\x07\u202e\u202c") & set(shown)
    if text.isprintable():
        assert text in " ".join(run(runs, "show", store.folder).split())
