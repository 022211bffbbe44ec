"""One run folder, read as it grows, whatever it holds."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builders import record, run_info
from support.synthetic_runs import age_heartbeat, synthetic_run

from driftwatch.record.record import to_json
from driftwatch.service.follow import MAX_POINTS, FollowedRun
from driftwatch.store.run_store import RunStore


@pytest.fixture
def store(root):
    made = RunStore(root / "r1")
    made.create(run_info())
    made.append_event("begin", attempt=0, step=0)
    return made


def steps(run):
    return run.curves().columns.get("looks", {}).get("step", [])


def test_it_reads_only_what_is_new_and_says_whether_anything_changed(store):
    store.append(record(0, 0))
    run = FollowedRun(store.folder)
    assert run.refresh()
    assert not run.refresh()
    version = run.version
    store.append(record(1, 4))
    assert run.refresh()
    assert run.version == version + 1
    assert steps(run) == [0, 4]
    assert run.last.step == 4


def test_a_line_that_is_being_written_is_left_for_the_next_time(store):
    run = FollowedRun(store.folder)
    line = to_json(record(0, 0)) + b"\n"
    with (store.folder / "records.jsonl").open("ab") as file:
        file.write(line[:50])
        file.flush()
        run.refresh()
        assert not run.looks
        assert run.problem is None
        file.write(line[50:])
    assert run.refresh()
    assert len(run.looks) == 1


def test_what_a_resume_repeats_is_left_out_of_the_curves(store):
    for look, step in enumerate((0, 4, 8)):
        store.append(record(look, step))
    run = FollowedRun(store.folder)
    run.refresh()
    assert steps(run) == [0, 4, 8]
    store.append_event("begin", attempt=1, step=4)
    store.append(record(3, 8, attempt=1))
    run.refresh()
    assert [(ref.attempt, ref.step) for ref in run.looks] == [(0, 0), (0, 4), (1, 8)]
    assert steps(run) == [0, 4, 8]


def test_states_are_told_apart(store):
    run = FollowedRun(store.folder)
    run.refresh()
    assert run.state == "running"
    age_heartbeat(store)
    assert run.refresh()
    assert run.state == "crashed"
    store.append_event("end", attempt=0, step=8, text="finished")
    run.refresh()
    assert run.state == "finished"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json\n", "no record"),
        (b'{"schema":99,"attempt":0,"look":5,"step":5,"timestamp":1.0}\n', "schema 99"),
        (b'{"schema":0,"attempt":0,"look":5,"step":5,"timestamp":1.0}\n', "schema 0"),
        (b"\xff\xfe\x00\n", "no record"),
        (b'{"schema":1,"attempt":"x"}\n', "no record"),
    ],
)
def test_a_line_that_cannot_be_read_is_counted_with_its_reason_and_the_others_are_shown(store, line, reason):
    store.append(record(0, 0))
    with (store.folder / "records.jsonl").open("ab") as file:
        file.write(line)
    store.append(record(1, 4))
    run = FollowedRun(store.folder)
    run.refresh()
    assert steps(run) == [0, 4]
    assert run.unreadable == 1
    assert reason in run.problem


def test_a_folder_that_disappears_is_a_problem_and_no_error(store):
    store.append(record(0, 0))
    run = FollowedRun(store.folder)
    run.refresh()
    for path in store.folder.iterdir():
        path.unlink()
    store.folder.rmdir()
    assert run.refresh()
    assert "cannot be read" in run.problem
    assert run.curves().length in (0, 1)


def test_a_folder_that_is_made_anew_is_read_anew(store):
    for look in range(3):
        store.append(record(look, 4 * look))
    run = FollowedRun(store.folder)
    run.refresh()
    (store.folder / "records.jsonl").unlink()
    store.append(record(0, 100))
    run.refresh()
    assert [ref.step for ref in run.looks] == [100]
    assert steps(run) == [100]


def test_a_link_in_a_run_folder_is_not_followed(store, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"schema":1,"top secret":true}')
    (store.folder / "run.json").unlink()
    (store.folder / "run.json").symlink_to(secret)
    run = FollowedRun(store.folder)
    run.refresh()
    assert "link" in run.problem
    assert "secret" not in run.problem


def test_ten_thousand_looks_are_drawn_thinned(store):
    line = to_json(record(1, 4)).decode()
    with (store.folder / "records.jsonl").open("w") as file:
        file.writelines(line.replace('"look":1,"step":4', f'"look":{i},"step":{i}') + "\n" for i in range(10_000))
    run = FollowedRun(store.folder)
    run.refresh()
    curves = run.curves()
    assert len(run.looks) == 10_000
    assert curves.length <= MAX_POINTS
    assert curves.stride == 13
    assert run.last.step == 9_999


def test_only_the_looks_behind_a_position_are_sent(root):
    run = FollowedRun(synthetic_run(root, looks=6).folder)
    run.refresh()
    assert run.curves(4).columns["looks"]["look"] == [4, 5]
    assert run.curves(4).length == 6


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=60).filter(lambda b: b"\n" not in b),
            st.integers(0, 50).map(lambda look: to_json(record(look, look))),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                max_leaves=8,
            ).map(lambda value: json.dumps(value).encode()),
        ),
        max_size=12,
    ),
    torn=st.binary(max_size=40),
)
def test_no_content_of_a_folder_raises_and_no_sound_look_is_lost(tmp_path_factory, lines, torn):
    store = RunStore(tmp_path_factory.mktemp("fuzz") / "r1")
    store.create(run_info())
    content = b"".join(line + b"\n" for line in lines) + torn
    (store.folder / "records.jsonl").write_bytes(content)
    (store.folder / "events.jsonl").write_bytes(content)
    sound = sum(line.startswith(b'{"run":"r1"') for line in lines)
    run = FollowedRun(store.folder)
    run.refresh()
    assert run.curves().length == sound
    run.refresh()
    assert len(run.looks) == sound
