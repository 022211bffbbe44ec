"""Every run has a folder of its own, also when many begin at once."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from click.testing import CliRunner
from support.builders import run_info

from driftwatch.cli.runs import command as runs
from driftwatch.errors import StoreError
from driftwatch.service.library import Library
from driftwatch.store.folder import free_folder
from driftwatch.store.run_store import RunStore, find_runs

# Waits for the word, so that all begin at once, then takes many folders of the same names.
CLAIMING = """
import sys
from pathlib import Path
from driftwatch.store.folder import free_folder
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    print(free_folder(Path(sys.argv[1]), f"run{number}").name, flush=True)
"""


def test_processes_that_begin_at_once_under_one_name_get_a_folder_each(tmp_path):
    many = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMING, str(tmp_path / "runs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    try:
        assert [process.stdout.readline() for process in many] == ["ready\n"] * 8
        for process in many:
            process.stdin.write("go\n")
            process.stdin.flush()
        names = [name for process in many for name in process.communicate(timeout=60)[0].split()]
    finally:
        for process in many:
            process.kill()
            process.wait()
    assert len(names) == 8 * 25
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert set(names) == {path.name for path in (tmp_path / "runs").iterdir()}
    assert {f"run{number}-8" for number in range(25)} <= set(names), "no number is left out"


def test_a_name_is_kept_where_it_is_free(tmp_path):
    assert free_folder(tmp_path, "r1") == tmp_path / "r1"
    assert free_folder(tmp_path, "r1") == tmp_path / "r1-2"


def test_a_folder_that_was_made_beforehand_is_taken(tmp_path):
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / "notes.txt").write_text("why this run")
    assert free_folder(tmp_path, "r1") == tmp_path / "r1"


def test_a_run_that_was_copied_here_without_its_sign_of_life_is_not_touched(tmp_path):
    store = RunStore(tmp_path / "r1")
    store.create(run_info())
    (tmp_path / "r1" / "heartbeat").unlink()
    assert free_folder(tmp_path, "r1") == tmp_path / "r1-2"
    assert not (tmp_path / "r1" / "heartbeat").exists()


def test_a_file_or_a_link_to_nowhere_in_the_way_is_passed_over(tmp_path):
    (tmp_path / "r1").write_text("")
    (tmp_path / "r1-2").symlink_to(tmp_path / "nowhere")
    assert free_folder(tmp_path, "r1") == tmp_path / "r1-3"


def test_what_a_crash_between_claim_and_description_leaves_is_no_run_for_any_reader(tmp_path):
    left = free_folder(tmp_path, "r1")
    assert [path.name for path in left.iterdir()] == ["heartbeat"]
    RunStore(free_folder(tmp_path, "r1")).create(run_info("r1-2"))
    assert [store.folder.name for store in find_runs(tmp_path)] == ["r1-2"]
    listed = json.loads(CliRunner().invoke(runs, ["list", str(tmp_path), "--json"]).stdout)
    assert [run["run"] for run in listed] == ["r1-2"]
    library = Library(tmp_path)
    library.refresh()
    assert [row.run for row in library.rows()] == ["r1-2"]


def test_a_place_that_cannot_be_written_is_said_by_the_run_that_begins_there(tmp_path):
    (tmp_path / "file").write_text("")
    folder = free_folder(tmp_path / "file", "r1")
    with pytest.raises(StoreError, match="expected a folder that can be written"):
        RunStore(folder).create(run_info())


def test_a_name_that_can_be_no_folder_is_refused(tmp_path):
    with pytest.raises(StoreError, match="a run's name is"):
        free_folder(tmp_path, "../r1")


def test_a_longest_name_that_is_taken_still_gives_a_name_of_a_run(tmp_path):
    longest = "r" * 128
    folders = [free_folder(tmp_path, longest) for _ in range(3)]
    assert [len(folder.name) for folder in folders] == [128] * 3
    assert [folder.name[-3:] for folder in folders] == ["rrr", "r-2", "r-3"]


def test_a_file_of_the_name_is_passed_over_and_a_parent_that_is_none_ends_the_search(tmp_path):
    (tmp_path / "r1").write_text("no run")
    assert free_folder(tmp_path, "r1").name == "r1-2"
    assert free_folder(tmp_path / "r1", "r2") == tmp_path / "r1/r2", "whose creation then says what is wrong"
