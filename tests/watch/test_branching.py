"""Which run a training goes on with: its own, one of several, or a branch; and who may write it."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.small_trainings import callback, replies, small_pack, trainer

from driftwatch import DriftCallback, RunStore, Schedule
from driftwatch.errors import ConfigError
from driftwatch.store import writer
from driftwatch.testing import tiny_tokenizer

SAVING = {"save_strategy": "steps", "save_steps": 2}


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


def watch(**options):
    """A callback whose runs lie in the Trainer's output folder."""
    settings = {"schedule": Schedule(every_steps=1, early_dense=False, budget=None), "exporters": (), "run": "r1"}
    return DriftCallback(small_pack(), **{**settings, **options})


def trained(folder, tokenizer, steps, resume=None, **options):
    found = watch(**options)
    run = trainer(folder, tokenizer, [found], max_steps=steps, learning_rate=1e-2, **SAVING)
    run.train(resume_from_checkpoint=resume)
    return found


def steps_of(store):
    return [(record.attempt, record.step, record.parent) for record in store.records()]


def test_going_on_in_another_output_folder_is_a_run_of_its_own_with_its_parents_history(tmp_path, tokenizer):
    trained(tmp_path / "base", tokenizer, 4, confirm=replies())
    parent = RunStore(tmp_path / "base/out/driftwatch/r1")
    before = {path.name: path.read_bytes() for path in parent.folder.iterdir() if path.is_file()}
    trained(tmp_path / "a", tokenizer, 4, str(tmp_path / "base/out/checkpoint-2"), confirm=replies())
    assert {path.name: path.read_bytes() for path in parent.folder.iterdir() if path.is_file()} == before
    store = RunStore(tmp_path / "a/out/driftwatch/r1")
    assert steps_of(store) == [(0, 0, "r1"), (0, 1, "r1"), (0, 2, "r1"), (1, 3, ""), (1, 4, "")]
    info = store.info()
    assert (info.parent.run, info.parent.folder, info.parent.step) == ("r1", str(parent.folder), 2)
    assert store.state() == "finished"
    assert [event.kind for event in store.events()] == ["branch", "begin", "end"]
    assert {record.run for record in store.records()} == {info.run}


def test_a_branch_begins_with_the_evidence_as_of_the_checkpoint(tmp_path, tokenizer):
    trained(tmp_path / "base", tokenizer, 6, confirm=replies())
    parent = RunStore(tmp_path / "base/out/driftwatch/r1")
    kept = [json.loads(line) for line in parent.lines("evidence.jsonl")]
    assert [one["step"] for one in kept] == [0, 1, 2, 3, 4, 5, 6]
    assert kept[2]["saved"] != kept[-1]["saved"]
    trained(tmp_path / "a", tokenizer, 3, str(tmp_path / "base/out/checkpoint-2"), confirm=replies())
    store = RunStore(tmp_path / "a/out/driftwatch/r1")
    assert store.records()[2].evidence == parent.records()[2].evidence
    left = json.loads((store.folder / "evidence.json").read_text())  # one observation later than the checkpoint
    assert left["used"] == kept[3]["saved"]["used"] != kept[-1]["saved"]["used"]
    assert left["evidence"]["steps"] == [1, 2, 3]


def test_a_branch_of_a_branch_names_each_parent(tmp_path, tokenizer):
    trained(tmp_path / "base", tokenizer, 2)
    trained(tmp_path / "a", tokenizer, 4, str(tmp_path / "base/out/checkpoint-2"), run="a")
    trained(tmp_path / "b", tokenizer, 6, str(tmp_path / "a/out/checkpoint-4"), run="b")
    store = RunStore(tmp_path / "b/out/driftwatch/b")
    assert [record.parent for record in store.records()] == ["r1"] * 3 + ["a"] * 2 + [""] * 2
    assert store.info().parent.run == "a"


def test_a_run_that_kept_no_evidence_by_look_is_not_branched_with_later_evidence(tmp_path, tokenizer, caplog):
    trained(tmp_path / "base", tokenizer, 4, confirm=replies())
    (tmp_path / "base/out/driftwatch/r1/evidence.jsonl").unlink()
    trained(tmp_path / "a", tokenizer, 4, str(tmp_path / "base/out/checkpoint-2"), confirm=replies())
    store = RunStore(tmp_path / "a/out/driftwatch/r1")
    assert "has not kept its evidence as of then; a new run begins here" in caplog.text
    assert steps_of(store) == [(0, 2, ""), (0, 3, ""), (0, 4, "")]
    assert store.info().parent is None


def test_an_output_folder_that_was_moved_goes_on_with_its_run(tmp_path, tokenizer):
    trained(tmp_path / "old", tokenizer, 2)
    shutil.move(tmp_path / "old", tmp_path / "new")
    trained(tmp_path / "new", tokenizer, 4, str(tmp_path / "new/out/checkpoint-2"))
    store = RunStore(tmp_path / "new/out/driftwatch/r1")
    assert [step for _, step, _ in steps_of(store)] == [0, 1, 2, 3, 4]
    assert store.info().parent is None


def test_an_output_folder_that_was_copied_goes_on_with_its_copy(tmp_path, tokenizer):
    trained(tmp_path / "old", tokenizer, 2)
    shutil.copytree(tmp_path / "old", tmp_path / "new", symlinks=True)
    trained(tmp_path / "new", tokenizer, 4, str(tmp_path / "new/out/checkpoint-2"))
    assert [step for _, step, _ in steps_of(RunStore(tmp_path / "new/out/driftwatch/r1"))] == [0, 1, 2, 3, 4]
    assert [step for _, step, _ in steps_of(RunStore(tmp_path / "old/out/driftwatch/r1"))] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"alpha": 0.05}, "alpha=0.01; found alpha=0.05"),
        ({"tolerance": 0.3}, "a tolerance of 0.1 for parks; found one of 0.3"),
        ({"seed": 5}, "seed=0; found seed=5"),
    ],
)
def test_other_settings_of_the_evidence_are_refused_before_the_first_step(tmp_path, tokenizer, options, found):
    trained(tmp_path, tokenizer, 2, confirm=replies(), tolerance=0.1, seed=0)
    settings = {"confirm": replies(), "tolerance": 0.1, "seed": 0, **options}
    again = trainer(tmp_path, tokenizer, [watch(**settings)], max_steps=4, **SAVING)
    with pytest.raises(ConfigError, match=f"expected the settings with which run r1 began, {found}"):
        again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))
    assert again.state.global_step == 2
    trained(tmp_path, tokenizer, 4, str(tmp_path / "out/checkpoint-2"), confirm=replies(), tolerance=0.1, seed=0)
    assert [step for _, step, _ in steps_of(RunStore(tmp_path / "out/driftwatch/r1"))] == [0, 1, 2, 3, 4]


# One writer a run

HOLD = """
import sys
from pathlib import Path
from driftwatch.store import writer
assert writer.claim(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holding(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_training_of_a_run_gets_one_of_its_own_and_says_so(tmp_path, tokenizer, caplog):
    trained(tmp_path, tokenizer, 2, confirm=replies())
    folder = tmp_path / "out/driftwatch/r1"
    with holding(folder) as other:
        trained(tmp_path, tokenizer, 4, str(tmp_path / "out/checkpoint-2"), confirm=replies())
        other.communicate()
    assert "another process writes the run in" in caplog.text
    assert [step for _, step, _ in steps_of(RunStore(folder))] == [0, 1, 2]
    assert [step for _, step, _ in steps_of(RunStore(tmp_path / "out/driftwatch/r1-2"))] == [0, 1, 2, 3, 4]


def test_the_lock_of_a_writer_that_was_killed_is_taken_over(tmp_path):
    with holding(tmp_path) as other:
        assert not writer.claim(tmp_path)
        other.kill()
        other.wait()
        assert writer.claim(tmp_path, sleep=pytest.fail)
    assert not writer.claim(tmp_path), "this process writes it already"
    writer.release(tmp_path)
    assert not (tmp_path / writer.LOCK).exists()


def elsewhere(folder, **changes):
    """A lock of another machine."""
    lock = {"pid": 7, "host": "another", "place": "another boot", "began": "1", "token": "theirs", **changes}
    (folder / writer.LOCK).write_text(json.dumps(lock))
    (folder / writer.HEARTBEAT).touch()


def test_a_writer_on_another_machine_lives_as_long_as_its_heart_beats(tmp_path):
    elsewhere(tmp_path)
    waited = []

    def beating(seconds):
        waited.append(seconds)
        if len(waited) == 15:
            os.utime(tmp_path / writer.HEARTBEAT, (time.time() + 15,) * 2)

    assert not writer.claim(tmp_path, sleep=beating)
    assert len(waited) == 15


def test_a_writer_on_another_machine_whose_heart_stands_still_is_gone(tmp_path):
    elsewhere(tmp_path)
    waited = []
    assert writer.claim(tmp_path, sleep=waited.append)
    assert sum(waited) > 2 * writer.BEAT_SECONDS
    writer.release(tmp_path)
    elsewhere(tmp_path)
    os.utime(tmp_path / writer.HEARTBEAT, (time.time() - 600,) * 2)
    assert writer.claim(tmp_path, sleep=pytest.fail), "nobody waits for what has long been silent"
    writer.release(tmp_path)


def test_only_its_own_lock_is_taken_away(tmp_path):
    assert writer.claim(tmp_path)
    elsewhere(tmp_path)
    writer.release(tmp_path)
    assert json.loads((tmp_path / writer.LOCK).read_text())["token"] == "theirs"


# Several callbacks


def two_packs():
    pack = small_pack()
    return pack, dataclasses.replace(pack, id="other", topics=pack.topics[::-1])


def pair(folder, *, packs=None, names=("first", "second")):
    one, two = packs or two_packs()
    settings = {"schedule": Schedule(every_steps=1, early_dense=False, budget=None), "exporters": ()}
    made = [DriftCallback(one, run=names[0], output_dir=folder / "runs", **settings)]
    return [*made, DriftCallback(two, run=names[1], output_dir=folder / "runs", **settings)]


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("same_pack", [False, True])
def test_several_callbacks_go_on_each_with_its_own_run(tmp_path, tokenizer, restored, turned, same_pack):
    packs = (small_pack(), small_pack()) if same_pack else None
    options = {**SAVING, "restore_callback_states_from_checkpoint": restored}
    trainer(tmp_path, tokenizer, pair(tmp_path, packs=packs), max_steps=4, **options).train()
    kept = json.loads((tmp_path / "out/checkpoint-4/trainer_state.json").read_text())["stateful_callbacks"]
    folders = [entry["attributes"]["progress"]["folder"] for entry in kept["DriftCallback"]]
    assert folders == [str(tmp_path / "runs/first"), str(tmp_path / "runs/second")]
    again = pair(tmp_path, packs=packs)
    run = trainer(tmp_path, tokenizer, again[::-1] if turned else again, max_steps=6, **options)
    run.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-4"))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["first", "second"]
    for name in ("first", "second"):
        store = RunStore(tmp_path / "runs" / name)
        assert [(r.attempt, r.step) for r in store.records()] == [(0, s) for s in range(5)] + [(1, 5), (1, 6)]
    assert [one.progress["step"] for one in again] == [6, 6]


def test_callbacks_without_a_name_go_on_in_the_order_in_which_they_began(tmp_path, tokenizer):
    def unnamed():
        return pair(tmp_path, packs=(small_pack(), small_pack()), names=(None, None))

    trainer(tmp_path, tokenizer, unnamed(), max_steps=2, **SAVING).train()
    folders = sorted((tmp_path / "runs").iterdir())
    again = unnamed()
    trainer(tmp_path, tokenizer, again, max_steps=4, **SAVING).train(
        resume_from_checkpoint=str(tmp_path / "out/checkpoint-2")
    )
    assert sorted((tmp_path / "runs").iterdir()) == folders
    assert {one.monitor.store.folder for one in again} == set(folders)


def test_of_two_trainers_in_a_script_each_is_restored_with_its_own_callback(tmp_path, tokenizer):
    options = {**SAVING, "restore_callback_states_from_checkpoint": True}
    trainer(tmp_path / "a", tokenizer, [callback(tmp_path / "a")], max_steps=2, **options).train()
    first = callback(tmp_path / "a")
    run = trainer(tmp_path / "a", tokenizer, [first], max_steps=4, **options)
    later = callback(tmp_path / "b", run="dpo")  # the next stage is made before the first one goes on
    trainer(tmp_path / "b", tokenizer, [later], max_steps=2)
    run.train(resume_from_checkpoint=str(tmp_path / "a/out/checkpoint-2"))
    assert first.monitor.store.folder == tmp_path / "a/runs/r1"
    assert later.monitor.store is None
    assert first.progress["step"] == 4


# What is published


def uploaded(monkeypatch, run, push):
    """What `push` would upload of a Trainer's output folder, by the patterns that the Trainer names."""
    import transformers.trainer as module
    from huggingface_hub.utils import filter_repo_objects

    sent = []

    class Api:
        def upload_folder(self, *, folder_path, ignore_patterns=None, **kwargs):
            # As huggingface_hub lists a folder.
            root = Path(folder_path)
            files = [path.relative_to(root).as_posix() for path in sorted(root.glob("**/*")) if path.is_file()]
            sent.extend(filter_repo_objects(files, ignore_patterns=ignore_patterns))

            class Done:
                commit_url = repo_url = oid = pr_url = "x"

                def is_done(self):
                    return True

                def done(self):
                    return True

                def result(self):
                    return self

            return Done()

        def create_repo(self, *args, **kwargs):
            class Repo:
                repo_id, url = "me/model", "x"

            return Repo()

        def create_branch(self, *args, **kwargs):
            pass

    monkeypatch.setattr(module, "hf_api", lambda *args, **kwargs: Api())
    run.hub_model_id = "me/model"
    monkeypatch.setattr(run, "create_model_card", lambda *args, **kwargs: None)
    push()
    return sent


def test_a_run_folder_is_not_published_with_the_model(tmp_path, tokenizer, monkeypatch):
    import transformers.trainer as module

    if not hasattr(module, "hf_api"):
        pytest.skip("this version of transformers uploads by another name")
    run = trainer(tmp_path, tokenizer, [watch(confirm=replies())], max_steps=1, hub_model_id="me/model")
    run.train()
    assert (tmp_path / "out/driftwatch/r1/records.jsonl").is_file()
    sent = uploaded(monkeypatch, run, run.push_to_hub)
    assert "config.json" in sent
    assert not [path for path in sent if "driftwatch" in path]


def test_where_no_link_can_be_made_the_run_is_in_the_folder_that_is_left_out(tmp_path, tokenizer, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    found = watch()
    trainer(tmp_path, tokenizer, [found], max_steps=1).train()
    assert found.monitor.store.folder == tmp_path / "out/_driftwatch/r1"
