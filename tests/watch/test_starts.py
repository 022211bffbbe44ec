"""A start is not always the start, and what is left in the end is not always what was asked last."""

import shutil

import pytest
import torch
from support.small_trainings import small_pack
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback

import driftwatch.callback
from driftwatch import DriftCallback, RunStore, Schedule
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_model
from driftwatch.watch.beginning import Beginning


@pytest.fixture
def tokenizer(tiny_tokenizer):
    return tiny_tokenizer


def watch(folder, every=1, run="r", **settings):
    schedule = Schedule(every_steps=every, early_dense=False, budget=None)
    probe = StatementProbe(naysaying_items=0)
    return DriftCallback(
        small_pack(), exporters=(), run=run, output_dir=folder, schedule=schedule, probes=(probe,), **settings
    )


def trainer(folder, tokenizer, callbacks, model=None, **settings):
    set_seed(0)
    ids = tokenizer("I want more nature in the street. ")["input_ids"]
    plain = {"max_steps": 4, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "save_strategy": "no"}
    plain |= {"report_to": [], "use_cpu": True, "disable_tqdm": True}
    made = Trainer(
        model=tiny_model(tokenizer) if model is None else model,
        args=TrainingArguments(str(folder), **{**plain, **settings}),
        train_dataset=[{"input_ids": ids, "labels": ids}] * 16,
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    made.remove_callback(PrinterCallback)
    return made


def drift(record):
    return max(found.total_variation or 0.0 for found in record.drifts if found.baseline == "start")


class AddsAtStepOne(TrainerCallback):
    def __init__(self, late):
        self.late = late

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1:
            self.trainer.add_callback(self.late)


@pytest.mark.parametrize("save", ["no", "steps"])
def test_a_callback_that_is_added_late_begins_there_and_breaks_no_checkpoint(tmp_path, tokenizer, save, caplog):
    adds = AddsAtStepOne(watch(tmp_path))
    run = adds.trainer = trainer(tmp_path / "out", tokenizer, [adds], save_strategy=save, save_steps=3)
    run.train()
    store = RunStore(tmp_path / "r")
    assert run.state.global_step == 4
    assert [record.step for record in store.records()] == [2, 3, 4]
    assert store.state() == "finished"
    assert store.info().notes[0].startswith("added to the training at step 2")
    assert caplog.text.count("was added to a training") == 1


def test_a_callback_that_is_added_late_and_cannot_ask_at_once_still_says_since_when_it_watches(
    tmp_path, tokenizer, monkeypatch
):
    begin, tries = Beginning.anew, []

    def fails_at_first(self, *arguments):
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("no memory just now")
        return begin(self, *arguments)

    monkeypatch.setattr(Beginning, "anew", fails_at_first)
    adds = AddsAtStepOne(watch(tmp_path))
    run = adds.trainer = trainer(tmp_path / "out", tokenizer, [adds])
    run.train()
    store = RunStore(tmp_path / "r")
    assert [record.step for record in store.records()] == [3, 4]
    notes = " ".join(store.info().notes)
    assert "the first observation failed at step 2" in notes
    assert "added to the training at step 2; what moved before is not seen" in notes


def test_a_run_that_was_added_late_is_resumed(tmp_path, tokenizer):
    adds = AddsAtStepOne(watch(tmp_path))
    run = adds.trainer = trainer(tmp_path / "out", tokenizer, [adds], save_strategy="steps", save_steps=3)
    run.train()
    shutil.rmtree(tmp_path / "out/checkpoint-4", ignore_errors=True)
    again = trainer(tmp_path / "out", tokenizer, [watch(tmp_path)], save_strategy="steps", save_steps=3)
    again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-3"))
    records = RunStore(tmp_path / "r").records()
    assert [(record.attempt, record.step) for record in records] == [(0, 2), (0, 3), (1, 4)]


class DoesNotFit(TrainerCallback):
    done = False

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 3 and not self.done:
            self.done = True
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_a_training_that_begins_again_with_smaller_batches_keeps_its_baseline(tmp_path, tokenizer, caplog):
    """The Trainer halves the batch and begins at step 0, with the weights of step 3."""
    truth = watch(tmp_path, run="truth").monitor
    truth.begin(tiny_model(tokenizer), tokenizer)
    model = tiny_model(tokenizer)
    trainer(tmp_path / "out", tokenizer, [DoesNotFit(), watch(tmp_path)], model, auto_find_batch_size=True).train()
    truth.observe(model, 1)
    truth.close("finished")
    (store,) = (RunStore(path) for path in tmp_path.glob("r*"))
    last = store.records()[-1]
    assert (last.step, last.attempt) == (4, 1)
    assert drift(last) == pytest.approx(drift(RunStore(tmp_path / "truth").records()[-1]), abs=1e-6)
    assert [event.kind for event in store.events()].count("again") == 1
    assert "training began again at step 0 with the weights that it had" in caplog.text


def test_training_a_second_time_is_a_run_of_its_own_that_says_what_it_starts_from(tmp_path, tokenizer):
    run = trainer(tmp_path / "out", tokenizer, [watch(tmp_path)])
    run.train()
    run.train()
    stores = [RunStore(tmp_path / name) for name in ("r", "r-2")]
    assert [store.state() for store in stores] == ["finished", "finished"]
    assert stores[0].info().notes == ()
    assert "training starts from the weights that run r left at step 4" in stores[1].info().notes


def test_a_second_stage_has_the_name_of_its_own_trainer(tmp_path, tokenizer):
    ours = DriftCallback(small_pack(), exporters=(), output_dir=tmp_path, schedule=Schedule(every_steps=9, budget=None))
    for name in ("first", "second"):
        trainer(tmp_path / name, tokenizer, [ours], max_steps=1, run_name=name).train()
    assert {path.parent.name for path in tmp_path.glob("*/run.json")} == {"first", "second"}


def test_a_stop_that_was_heeded_is_forgotten_with_its_training(tmp_path, tokenizer, monkeypatch):
    run = trainer(tmp_path / "out", tokenizer, [watch(tmp_path, actions=["stop"])], save_strategy="steps", save_steps=1)
    monkeypatch.setattr(driftwatch.callback, "is_called_for", lambda record: record.step == 2)
    run.train()
    assert run.state.global_step == 2
    monkeypatch.setattr(driftwatch.callback, "is_called_for", lambda record: False)
    run.train(resume_from_checkpoint=True)
    assert run.state.global_step == 4
    events = [event.kind for event in RunStore(tmp_path / "r").events()]
    assert "stop ignored" not in events
    assert RunStore(tmp_path / "r").state() == "finished"


class Averages(TrainerCallback):
    """Puts in place what the model was before training, to be plain."""

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.kept = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    def on_train_end(self, args, state, control, model=None, **kwargs):
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(self.kept[name])


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("every", [2, 3])
def test_what_is_left_is_asked_wherever_the_callback_stands_that_put_it_there(tmp_path, tokenizer, is_first, every):
    callbacks = [Averages(), watch(tmp_path, every)][:: 1 if is_first else -1]
    run = trainer(tmp_path / "out", tokenizer, callbacks)
    run.train()
    last = RunStore(tmp_path / "r").records()[-1]
    assert (last.step, last.phase, drift(last)) == (4, "end", 0.0)
    assert "average" in last.weights
    assert any("put in place at the end of training" in note for note in last.notes)
    assert [type(one).__name__ for one in run.callback_handler.callbacks].count("Afterwards") == 0


def test_weights_that_stay_are_asked_once(tmp_path, tokenizer):
    trainer(tmp_path / "out", tokenizer, [watch(tmp_path), TrainerCallback()]).train()
    records = RunStore(tmp_path / "r").records()
    assert [(record.step, record.weights) for record in records] == [(0, ""), (1, ""), (2, ""), (3, ""), (4, "")]


class BreaksOff(TrainerCallback):
    def on_train_end(self, args, state, control, **kwargs):
        raise OSError("disk full")


def test_an_end_that_another_callback_breaks_off_leaves_nothing_behind(tmp_path, tokenizer):
    ours = watch(tmp_path)
    run = trainer(tmp_path / "out", tokenizer, [ours, breaks := BreaksOff()])
    with pytest.raises(OSError, match="disk full"):
        run.train()
    run.remove_callback(breaks)
    run.train()
    assert RunStore(tmp_path / "r-2").state() == "finished"
    assert not [one for one in run.callback_handler.callbacks if type(one).__name__ == "Afterwards"]


def test_several_callbacks_of_one_trainer_all_come_behind_the_others(tmp_path, tokenizer):
    """Whoever leaves the list of callbacks meanwhile must not make the Trainer pass over the next one."""
    ours = [watch(tmp_path, run=name) for name in ("r1", "r2", "r3")]
    run = trainer(tmp_path / "out", tokenizer, [*ours, Averages()])
    run.train()
    for name in ("r1", "r2", "r3"):
        store = RunStore(tmp_path / name)
        assert store.state() == "finished"
        assert "average" in store.records()[-1].weights
    assert not [one for one in run.callback_handler.callbacks if type(one).__name__ == "Afterwards"]


class Counts(TrainerCallback):
    begun = 0

    def on_train_begin(self, args, state, control, **kwargs):
        self.begun += 1


def test_what_a_broken_end_has_left_hides_nobody_from_the_next_beginning(tmp_path, tokenizer):
    run = trainer(tmp_path / "out", tokenizer, [watch(tmp_path), breaks := BreaksOff()])
    with pytest.raises(OSError, match="disk full"):
        run.train()
    run.remove_callback(breaks)
    run.add_callback(counts := Counts())
    run.train()
    assert counts.begun == 1
    assert not [one for one in run.callback_handler.callbacks if type(one).__name__ == "Afterwards"]


def test_a_callback_that_moves_to_a_training_under_way_is_not_named_after_the_one_before(tmp_path, tokenizer):
    ours = watch(tmp_path, run=None)
    trainer(tmp_path / "out", tokenizer, [ours], max_steps=1, run_name="first").train()
    run = trainer(tmp_path / "out", tokenizer, [adds := AddsAtStepOne(ours)], max_steps=2, run_name="second")
    adds.trainer = run
    run.train()
    assert {path.parent.name for path in tmp_path.glob("*/run.json")} == {"first", "second"}
