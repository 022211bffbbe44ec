"""Exactly one callback a trainer, whoever brought it; in this process, where the patch is taken back afterwards."""

import json
import re

import pytest
from support import fake_vllm
from support.builders import TWO_PARKS, WATCHED
from support.invariance import length_reward, preferences, renamed, trl_settings
from transformers import (
    AutoModelForCausalLM,
    LlamaForSequenceClassification,
    Trainer,
    TrainingArguments,
    trainer_callback,
)

from driftwatch import DriftCallback, RunStore, Schedule
from driftwatch.launch.attach import attach_to
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """As below `driftwatch run`; gives what was noted."""
    monkeypatch.setattr(
        trainer_callback.CallbackHandler, "on_train_begin", trainer_callback.CallbackHandler.on_train_begin
    )
    (tmp_path / "drift.yaml").write_text(WATCHED)
    (tmp_path / "pack.yaml").write_text(TWO_PARKS)
    (tmp_path / "notes").mkdir()
    monkeypatch.setenv("DRIFTWATCH_CONFIG", str(tmp_path / "drift.yaml"))
    monkeypatch.setenv("DRIFTWATCH_RUN_NOTES", str(tmp_path / "notes"))
    attach_to(trainer_callback)

    def notes():
        (file,) = (tmp_path / "notes").glob("*.jsonl")
        found = [json.loads(line) for line in file.read_text().splitlines()]
        assert found[0]["kind"] == "loaded"
        return found[1:]

    return notes


def trainer(folder, callbacks=(), model=None, steps=2, **options):
    tokenizer = tiny_tokenizer()
    ids = tokenizer("I want more trees. ")["input_ids"]
    settings = {"report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True, **options}
    return Trainer(
        model=model or tiny_model(tokenizer),
        args=TrainingArguments(str(folder / "out"), max_steps=steps, per_device_train_batch_size=2, **settings),
        train_dataset=[{"input_ids": ids, "labels": ids}] * 4,
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def own(folder):
    schedule = Schedule(every_steps=1, early_dense=False, budget=None)
    return DriftCallback(tiny_pack(), schedule=schedule, exporters=(), run="own", output_dir=folder / "runs")


def steps(folder, run):
    return [record.step for record in RunStore(folder / "runs" / run).records()]


def test_a_trainer_is_watched_and_says_so(tmp_path, launched, capsys):
    trainer(tmp_path).train()
    assert steps(tmp_path, "watched") == [0, 1, 2]
    folder = str(tmp_path / "runs" / "watched")
    assert launched() == [{"kind": "attached", "text": "Trainer (LlamaForCausalLM)", "folder": folder}]
    assert f"driftwatch: attached to Trainer (LlamaForCausalLM): run {folder}" in capsys.readouterr().err


def test_two_trainers_get_two_runs(tmp_path, launched):
    trainer(tmp_path).train()
    trainer(tmp_path).train()
    assert steps(tmp_path, "watched") == steps(tmp_path, "watched-2") == [0, 1, 2]


def test_a_trainer_that_trains_twice_is_watched_twice_by_one_callback(tmp_path, launched):
    twice = trainer(tmp_path)
    twice.train()
    twice.train()
    assert [type(c).__name__ for c in twice.callback_handler.callbacks].count("DriftCallback") == 1
    assert [note["kind"] for note in launched()] == ["attached", "attached"]
    assert steps(tmp_path, "watched-2") == [0, 1, 2]


@pytest.mark.parametrize("late", [False, True])
def test_a_callback_of_the_users_own_is_the_only_one(tmp_path, launched, capsys, late):
    made = trainer(tmp_path, [] if late else [own(tmp_path)])
    if late:
        made.add_callback(own(tmp_path))
    made.train()
    assert [type(c).__name__ for c in made.callback_handler.callbacks].count("DriftCallback") == 1
    assert steps(tmp_path, "own") == [0, 1, 2]
    assert not (tmp_path / "runs" / "watched").exists()
    assert [note["kind"] for note in launched()] == ["own"]
    assert "has a DriftCallback of its own; nothing is added" in capsys.readouterr().err


def test_a_stage_that_trains_a_reward_model_is_left_alone(tmp_path, launched, capsys):
    """A callback passed by hand refuses it; a launcher must not end a pipeline for one of its stages."""
    tokenizer = tiny_tokenizer()
    config = tiny_model(tokenizer).config
    config.num_labels = 1
    made = trainer(tmp_path, model=LlamaForSequenceClassification(config))
    made.train_dataset = [{"input_ids": [5, 6, 7], "labels": 1.0}] * 4
    made.train()
    assert [note["kind"] for note in launched()] == ["unfit"]
    assert "is left alone" in capsys.readouterr().err


@renamed
def test_the_vllm_of_a_trainer_writes_the_replies_without_a_word_in_the_script(tmp_path, launched, monkeypatch):
    from trl import GRPOConfig, GRPOTrainer

    engines = fake_vllm.put_in_place(monkeypatch)
    with (tmp_path / "drift.yaml").open("a") as file:
        file.write("confirm: {decoding: {max_new_tokens: 3}, normal_draws: 2, watched_draws: 2}\n")
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    settings = {**trl_settings(tmp_path / "out"), "max_steps": 2, "num_generations": 2, "max_completion_length": 4}
    GRPOTrainer(
        AutoModelForCausalLM.from_pretrained(tmp_path / "model"),
        reward_funcs=length_reward,
        args=GRPOConfig(use_vllm=True, vllm_mode="colocate", **settings),
        train_dataset=preferences().select_columns(["prompt"]),
        processing_class=tokenizer,
    ).train()
    store = RunStore(tmp_path / "runs" / "watched")
    assert store.info().identity["confirm/sampler"] == f"vLLM {fake_vllm.VERSION}"
    assert len(engines[0].asked) == 4, "a first question, the baseline's replies, and two observations"


def test_settings_that_cannot_work_end_the_training_before_its_first_step_in_a_line(tmp_path, launched, capsys):
    (tmp_path / "drift.yaml").write_text("alpha: 2")
    with pytest.raises(SystemExit) as ended:
        trainer(tmp_path).train()
    assert (ended.value.code, ended.value.__suppress_context__) == (3, True)
    assert re.search(r"^driftwatch: .*drift.yaml:1: expected a probability", capsys.readouterr().err, re.MULTILINE)


def test_a_resumed_training_goes_on_with_its_run(tmp_path, launched):
    trainer(tmp_path, steps=2, save_strategy="steps", save_steps=1).train()
    trainer(tmp_path, steps=3).train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    assert steps(tmp_path, "watched") == [0, 1, 2, 3]
    assert not (tmp_path / "runs" / "watched-2").exists()


def test_a_checkpoint_from_before_driftwatch_is_gone_on_from(tmp_path, launched):
    """Transformers fails at the next checkpoint on a callback with a state that the last one did not have."""
    trainer(tmp_path, steps=2, save_strategy="steps", save_steps=1).train()
    state = tmp_path / "out" / "checkpoint-2" / "trainer_state.json"
    found = json.loads(state.read_text())
    del found["stateful_callbacks"]["DriftCallback"]
    state.write_text(json.dumps(found))
    again = trainer(tmp_path, steps=4, save_strategy="steps", save_steps=1)
    again.train(resume_from_checkpoint=str(state.parent))
    assert steps(tmp_path, "watched-2") == [2, 3, 4]
