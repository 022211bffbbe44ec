"""`load_best_model_at_end`: the last step's weights are seen before the best ones are put back, and those too."""

from pathlib import Path

import pytest
import torch
from support.small_trainings import callback, replies, small_pack, trainer
from transformers import EarlyStoppingCallback, TrainerCallback

from driftwatch import RunStore, Schedule
from driftwatch.host import last_weights
from driftwatch.host.last_weights import Weights, mark_of
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_model, tiny_tokenizer
from driftwatch.watch.baselines import load_baseline
from driftwatch.watch.instrument import ask_once


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


def best_is_first(folder, tokenizer, *callbacks, **options):
    """A training whose evaluation gets worse, so that its first checkpoint is its best."""
    other = tokenizer("zq" * 17)["input_ids"]
    settings = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
    settings |= {"load_best_model_at_end": True, "learning_rate": 3e-2, "max_steps": 6}
    settings |= {"eval_dataset": [{"input_ids": other, "labels": other}] * 2}
    run = trainer(folder, tokenizer, list(callbacks), **{**settings, **options})
    run.train()
    return run


def log_odds(model, tokenizer):
    probes = (StatementProbe(naysaying_items=0),)
    return {s.item: s.log_odds for s in ask_once(model, tokenizer, small_pack(), model_name="x", probes=probes).stances}


def seen(store, look):
    found = next(one for one in store.look_stances() if one.look == look)
    return {stance.item: stance.log_odds for stance in found.stances}


@pytest.mark.parametrize("every", [2, 4])
def test_the_last_step_and_what_is_left_in_the_end_are_both_seen_and_told_apart(tmp_path, tokenizer, every):
    schedule = Schedule(every_steps=every, early_dense=False, budget=None)
    watch = callback(tmp_path, schedule=schedule, confirm=replies())
    run = best_is_first(tmp_path, tokenizer, watch)
    best = Path(run.state.best_model_checkpoint).name
    assert best != "checkpoint-6"
    store = RunStore(tmp_path / "runs/r1")
    last, left = store.records()[-2:]
    assert (last.step, last.weights) == (6, "")
    assert (left.step, left.phase, left.weights) == (6, "end", f"the best checkpoint, {best}")
    assert any("these are the weights of the best checkpoint" in note for note in left.notes)
    assert seen(store, left.look) == pytest.approx(log_odds(run.model, tokenizer), abs=1e-4)
    assert seen(store, last.look) != pytest.approx(seen(store, left.look), abs=1e-4)


def test_the_next_stage_is_compared_with_what_was_left(tmp_path, tokenizer):
    run = best_is_first(tmp_path, tokenizer, callback(tmp_path))
    baseline = load_baseline(tmp_path / "runs/r1")
    best = Path(run.state.best_model_checkpoint).name
    assert baseline.notes == (
        f"last whole observation of run r1: the weights of the best checkpoint, {best}, observed at step 6",
    )
    watch = callback(tmp_path, run="dpo", baseline=tmp_path / "runs/r1", confirm=replies())
    trainer(tmp_path, tokenizer, [watch], model=run.model, max_steps=1).train()
    info = RunStore(tmp_path / "runs/dpo").info()
    assert info.alerting_baseline == "sft"
    assert not [note for note in info.notes if "you do not start from this SFT model" in note]


@pytest.mark.parametrize("is_first", [True, False])
def test_training_that_is_stopped_early_has_its_last_weights_seen(tmp_path, tokenizer, is_first):
    """Whoever stops it at an evaluation, before or after us in the list of callbacks."""
    watch = callback(tmp_path, schedule=Schedule(every_steps=50, early_dense=False, budget=None))
    callbacks = [EarlyStoppingCallback(1), watch][:: 1 if is_first else -1]
    run = best_is_first(tmp_path, tokenizer, *callbacks, max_steps=20, metric_for_best_model="loss")
    step, best = run.state.global_step, Path(run.state.best_model_checkpoint).name
    assert step < 20
    records = RunStore(tmp_path / "runs/r1").records()
    assert [(r.step, r.phase, r.weights) for r in records] == [
        (0, "start", ""),
        (step, "end", ""),
        (step, "end", f"the best checkpoint, {best}"),
    ]


def test_where_the_last_step_is_the_best_nothing_is_seen_twice(tmp_path, tokenizer):
    watch = callback(tmp_path, schedule=Schedule(every_steps=3, early_dense=False, budget=None))
    run = best_is_first(tmp_path, tokenizer, watch, max_steps=2)
    assert run.state.best_model_checkpoint.endswith("checkpoint-2")
    records = RunStore(tmp_path / "runs/r1").records()
    assert [(r.step, r.weights) for r in records] == [(0, ""), (2, "")]


def test_writing_to_a_weight_leaves_a_mark(tokenizer):
    model = tiny_model(tokenizer)
    before = mark_of(model)
    assert mark_of(model) == before
    model.load_state_dict(tiny_model(tokenizer, seed=1).state_dict())
    assert mark_of(model) != before


def test_where_there_is_no_memory_for_a_checksum_training_and_run_end_as_ever(tmp_path, tokenizer, monkeypatch):
    def fails(model):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(last_weights, "checksum", fails)
    trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=2).train()
    store = RunStore(tmp_path / "runs/r1")
    assert store.state() == "finished"
    assert [(r.step, r.weights, len(r.failures)) for r in store.records()] == [(0, "", 0), (1, "", 0), (2, "", 0)]


class InTwoParts(TrainerCallback):
    """A trainer that updates twice a step, and calls its callbacks after each; before the second one, once watched."""

    def __init__(self, watch):
        self.watch = watch

    def on_step_end(self, args, state, control, model=None, **kwargs):
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.01)
        self.watch.on_step_end(args, state, control, model=model, **kwargs)


class Averages(TrainerCallback):
    def on_train_end(self, args, state, control, model=None, **kwargs):
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(0.5)


@pytest.mark.parametrize(("after", "weights"), [((), ""), ((Averages(),), last_weights.OTHERS)])
def test_what_a_second_part_of_the_last_step_has_changed_is_asked_and_is_no_replacement(
    tmp_path, tokenizer, after, weights
):
    watch = callback(tmp_path)
    run = trainer(tmp_path, tokenizer, [watch, InTwoParts(watch), *after], max_steps=2)
    run.train()
    store = RunStore(tmp_path / "runs/r1")
    records = store.records()
    assert [(r.step, r.weights) for r in records] == [(0, ""), (1, ""), (2, ""), (2, weights)]
    assert seen(store, 3) == pytest.approx(log_odds(run.model, tokenizer), abs=1e-4)


def test_nothing_is_said_of_weights_that_cannot_be_read(monkeypatch):
    def cannot(model):
        raise NotImplementedError("no such view")

    monkeypatch.setattr(last_weights, "checksum", cannot)
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.eye(4).to_sparse())
    seen = Weights()
    seen.asked(model, 1)
    assert not seen.are_others(model, 1)
    seen.leave(model, "r1", 1)
    assert seen.left_by(model) == ()
