import json
import logging
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builders import record, run_info
from support.synthetic_runs import synthetic_run

from driftwatch.errors import StoreError
from driftwatch.store.run_store import STALE_SECONDS, LookStances, RunStore, find_runs, valid_run_name
from driftwatch.watch.opening import reopened


@pytest.fixture
def store(tmp_path):
    made = RunStore(tmp_path / "r1")
    made.create(run_info())
    return made


def fill(store, steps, attempt=0, look=0):
    for number, step in enumerate(steps):
        store.append(record(look + number, step, attempt=attempt))


def test_what_is_appended_is_read_in_order(store):
    fill(store, [0, 4, 8])
    assert [found.step for found in store.records()] == [0, 4, 8]


def test_a_torn_last_line_is_dropped_and_reported(store, caplog):
    fill(store, [0, 4])
    path = store.folder / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    with caplog.at_level(logging.WARNING):
        assert [found.step for found in store.records()] == [0]
    assert "torn line" in caplog.text


def test_a_torn_line_is_cut_before_the_next_is_written(store, caplog):
    fill(store, [0, 4])
    path = store.folder / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    again = RunStore(store.folder)
    with caplog.at_level(logging.WARNING):
        fill(again, [8], look=2)
    assert [found.step for found in again.records()] == [0, 8]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0, max_value=5000))
def test_a_file_cut_at_any_byte_loses_at_most_its_last_record(store, cut):
    path = store.folder / "records.jsonl"
    path.unlink(missing_ok=True)
    fill(RunStore(store.folder), [0, 4, 8])
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole))])
    kept = path.read_bytes().count(b"\n")
    assert len(store.records()) == kept
    fill(RunStore(store.folder), [12], look=3)
    assert len(store.records()) == kept + 1


def test_a_writer_killed_at_work_leaves_a_readable_store(tmp_path):
    """`kill -9` while lines are being appended: every whole line is read."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from support.builders import record, run_info\n"
        "from driftwatch.store.run_store import RunStore\n"
        "store = RunStore(sys.argv[1]); store.create(run_info())\n"
        "for observation in range(100000):\n    store.append(record(observation, observation))\n"
    )
    folder = tmp_path / "r1"
    tests = os.path.dirname(os.path.dirname(__file__))
    writer = subprocess.Popen([sys.executable, "-c", code, str(folder), tests])
    path = folder / "records.jsonl"
    deadline = time.monotonic() + 60
    while (not path.exists() or path.stat().st_size < 20_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    found = RunStore(folder).records()
    assert len(found) >= 5
    assert [r.look for r in found] == list(range(len(found)))


def test_looks_later_than_a_resumed_checkpoint_are_kept_but_superseded(store):
    store.append_event("begin", attempt=0, step=0)
    fill(store, [0, 4, 8, 12])
    store.append_event("begin", attempt=1, step=4)
    fill(store, [8, 12], attempt=1, look=4)
    assert [(r.attempt, r.step) for r in store.records()] == [(0, 0), (0, 4), (1, 8), (1, 12)]
    everything = store.records(superseded=True)
    assert [r.superseded for r in everything] == [False, False, True, True, False, False]


def test_the_state_tells_running_finished_and_crashed_apart(tmp_path):
    now = time.time()
    store = RunStore(tmp_path / "r1", clock=lambda: now)
    store.create(run_info())
    store.append_event("begin", attempt=0, step=0)
    assert store.state() == "running"
    os.utime(store.folder / "heartbeat", (now - STALE_SECONDS - 1,) * 2)
    assert store.state() == "crashed"
    for reason, state in (("finished", "finished"), ("stopped", "stopped"), ("failed", "failed")):
        store.append_event("end", attempt=0, step=8, text=reason)
        assert store.state() == state
    store.append_event("begin", attempt=1, step=8)
    store.beat()
    now = time.time()
    assert store.state() == "running"


def test_stances_of_items_are_kept_beside_the_records(store):
    from driftwatch.stance import Probs, Stance

    stance = Stance("parks", "parks_street", "statement", scores=Probs(-1.0, -2.0, -3.0), log_odds=2.0)
    store.append_line("stances.jsonl", LookStances(0, 0, 0, (stance,)))
    assert [look.stances for look in store.look_stances()] == [(stance,)]


def test_what_is_asked_is_kept_with_the_run(store):
    from driftwatch.testing import tiny_pack

    assert store.pack() is None  # a folder of an earlier version
    store.write_pack(tiny_pack())
    assert store.pack() == tiny_pack()
    (store.folder / "pack.json").write_text('{"id": "tiny"')
    with pytest.raises(StoreError, match=r"expected the pack of the run in .*pack\.json; found another thing"):
        store.pack()


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(StoreError, match=r"expected the folder of a run, with run.json in it"):
        RunStore(tmp_path).info()


def test_an_unwritable_folder_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match=r"expected a folder that can be written.*output_dir"):
        RunStore(tmp_path / "file" / "r1").create(run_info())


def test_runs_are_found_in_a_folder_and_below_it(store):
    assert [found.folder.name for found in find_runs(store.folder.parent)] == ["r1"]
    assert [found.folder.name for found in find_runs(store.folder)] == ["r1"]
    with pytest.raises(StoreError, match="no folder at"):
        find_runs(store.folder.parent / "nowhere")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 129, "new\nline", "über"])
def test_names_that_cannot_be_a_folder_and_a_label_are_refused(name):
    with pytest.raises(StoreError, match="a run's name is"):
        valid_run_name(name)


def test_a_small_file_is_written_whole_or_not_at_all(store, monkeypatch):
    store.write_json("endpoint.json", {"port": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        store.write_json("endpoint.json", {"port": 2})
    assert json.loads((store.folder / "endpoint.json").read_text()) == {"port": 1}
    assert sorted(p.name for p in store.folder.iterdir()) == ["endpoint.json", "heartbeat", "run.json"]


@pytest.mark.parametrize("name", ["records.jsonl", "events.jsonl", "stances.jsonl"])
@pytest.mark.parametrize("damage", [b"\0" * 400, b"\0" * 400 + b"\n", b"{]\n", b"\xff\xfe\n", b"[1, 2]\n"])
def test_a_damaged_line_costs_itself_and_a_resume_goes_on(tmp_path, name, damage, caplog):
    store = synthetic_run(tmp_path, "r", looks=12, state="running")
    whole = len(store.records()), len(store.events()), len(list(store.look_stances()))
    path = store.folder / name
    lines = path.read_bytes().splitlines(keepends=True)
    at = len(lines) // 2
    path.write_bytes(b"".join([*lines[:at], damage, *lines[at:]]))
    again = RunStore(store.folder)
    assert (len(again.records()), len(again.events()), len(list(again.look_stances()))) == whole
    assert again.damaged.get(name, 0) == (
        0 if damage == b"\0" * 400 else 1
    )  # NUL bytes before a whole line cost nothing
    assert caplog.text.count("is passed over: 1 of its lines") == again.damaged.get(name, 0)
    assert reopened(store.folder, again.info().identity).attempt == 1


def test_what_a_newer_driftwatch_wrote_is_not_passed_over(tmp_path):
    store = synthetic_run(tmp_path, "r", looks=2)
    with (store.folder / "records.jsonl").open("ab") as file:
        file.write(b'{"schema": 99}\n')
    with pytest.raises(StoreError, match="Install the version that wrote it"):
        store.records()
