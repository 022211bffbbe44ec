"""Whatever a model's forward, a probe, a judge or an estimate raises, training ends as it does without driftwatch."""

import logging
import random

import pytest
import torch
from support.watching import watch
from transformers import Trainer, TrainingArguments

from driftwatch import Confirmation, RunStore
from driftwatch.errors import BaselineError, ConfigError, ProbeError
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.decoding import Decoding
from driftwatch.testing import ExactJudge, tiny_model, tiny_tokenizer
from driftwatch.watch.late_start import TRIES

STEPS = 3
# transformers' refusal of a setting that differs by layer is of the last kind.
ConfigRuntimeError = type("AmbiguousSetting", (RuntimeError,), {})
KINDS = (
    RuntimeError,
    IndexError,
    TypeError,
    AttributeError,
    KeyError,
    ValueError,
    torch.OutOfMemoryError,
    AssertionError,
    NotImplementedError,
    ConfigRuntimeError,
)
PARTS = {
    "the whole model": lambda model: model,
    "a layer": lambda model: model.model.layers[1].mlp,
    "the head": lambda model: model.lm_head,
}


class Faulty:
    """Has a part of a model raise at some of its calls; those of training, which have gradients, are left alone."""

    def __init__(self, module, kind=RuntimeError, *, at=(), always_from=None):
        self.calls, self.kind, self.at, self.always_from = 0, kind, at, always_from
        module.register_forward_pre_hook(self)

    def __call__(self, module, arguments):
        if torch.is_grad_enabled():
            return
        self.calls += 1
        if self.calls in self.at or (self.always_from is not None and self.calls >= self.always_from):
            raise self.kind("a fault of the model")


def train(folder, callbacks=(), model=None):
    """A short training; the trainer when it has ended."""
    tokenizer = tiny_tokenizer()
    rows = [tokenizer(text)["input_ids"] for text in ("I want more nature. ", "Our town needs music. ")]
    arguments = TrainingArguments(
        str(folder / "out"),
        max_steps=STEPS,
        per_device_train_batch_size=1,
        learning_rate=1e-2,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=tiny_model(tokenizer, dropout=0.1) if model is None else model,
        args=arguments,
        train_dataset=[{"input_ids": ids, "labels": ids} for ids in rows] * 4,
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    trainer.train()
    return trainer


def left(trainer):
    """Everything that a training leaves: weights, buffers and the optimizer's state."""
    optimizer = trainer.optimizer.state_dict()["state"]
    state = {f"{index}/{name}": value for index, one in optimizer.items() for name, value in one.items()}
    return {**trainer.model.state_dict(), **state}


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    return left(train(tmp_path_factory.mktemp("without")))


def assert_trained_as(without, trainer):
    assert trainer.state.global_step == STEPS
    found = left(trainer)
    assert found.keys() == without.keys()
    assert all(torch.equal(torch.as_tensor(found[name]), torch.as_tensor(without[name])) for name in without)


def records(folder):
    return RunStore(folder / "runs" / "r").records()


@pytest.fixture(scope="module")
def num_calls(tmp_path_factory):
    """How often a watched training calls each part of its model."""
    folder, model = tmp_path_factory.mktemp("counted"), tiny_model(tiny_tokenizer(), dropout=0.1)
    counters = {name: Faulty(part(model)) for name, part in PARTS.items()}
    train(folder, [watch(folder)], model)
    return {name: counter.calls for name, counter in counters.items()}


def assert_a_fault_changes_nothing(folder, without, kind, name, **when):
    model = tiny_model(tiny_tokenizer(), dropout=0.1)
    Faulty(PARTS[name](model), kind, **when)
    assert_trained_as(without, train(folder, [watch(folder)], model))


@pytest.mark.parametrize("case", range(10))
def test_an_error_at_any_call_into_the_model_changes_nothing_of_the_training(case, tmp_path, without, num_calls):
    """Ten of the cases of the nightly test, each of another kind of error, at calls spread over the whole run."""
    rng = random.Random(case)
    name = rng.choice(list(PARTS))
    first = case * num_calls[name] // 10 + 1
    at = rng.randint(first, max(first, (case + 1) * num_calls[name] // 10))
    assert_a_fault_changes_nothing(tmp_path, without, KINDS[case], name, at=(at,))


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", PARTS)
def test_an_error_at_every_call_into_the_model_changes_nothing_of_the_training(
    kind, name, tmp_path, without, num_calls
):
    for at in range(1, num_calls[name] + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        assert_a_fault_changes_nothing(folder, without, kind, name, at=(at,))


@pytest.mark.parametrize("kind", [TypeError, torch.OutOfMemoryError])
def test_a_model_that_can_never_be_asked_is_trained_all_the_same_and_said_once(kind, tmp_path, without, caplog):
    with caplog.at_level(logging.WARNING):
        assert_a_fault_changes_nothing(tmp_path, without, kind, "the whole model", always_from=1)
    said = [record.message for record in caplog.records if "the first observation failed" in record.message]
    assert len(said) == 1
    assert f"{TRIES} times in all: " in said[0]
    assert not (tmp_path / "runs").exists()


def test_after_the_stated_number_of_tries_it_is_given_up(tmp_path, without, caplog, monkeypatch):
    monkeypatch.setattr("driftwatch.watch.late_start.TRIES", 2)
    model = tiny_model(tiny_tokenizer(), dropout=0.1)
    fault = Faulty(model, always_from=1)
    with caplog.at_level(logging.WARNING):
        assert_trained_as(without, train(tmp_path, [watch(tmp_path)], model))
    assert any("nothing is watched in this training" in record.message for record in caplog.records)
    assert fault.calls <= 16  # four tries would make 24


def test_a_first_observation_that_fails_begins_the_run_at_the_next_step_that_is_due(tmp_path, without):
    model = tiny_model(tiny_tokenizer(), dropout=0.1)
    Faulty(model, IndexError, at=range(1, 12))
    assert_trained_as(without, train(tmp_path, [watch(tmp_path)], model))
    assert [(record.step, record.phase) for record in records(tmp_path)] == [(1, "start"), (2, "train"), (3, "train")]
    info = RunStore(tmp_path / "runs" / "r").info()
    assert (
        'the first observation failed at step 0: IndexError: a fault of the model; the baseline "start" is step 1'
        in (info.notes[0])
    )
    assert records(tmp_path)[0].cost.failures_total == {"monitor/IndexError": 1}


class NoReplies(ExactJudge):
    def read(self, asked):
        raise KeyError("a judge's own fault")


def test_a_judge_that_raises_costs_the_replies_and_not_the_screen(tmp_path, without, caplog):
    confirm = Confirmation(NoReplies(), Decoding(max_new_tokens=2), normal_draws=2, watched_draws=2)
    assert_trained_as(without, train(tmp_path, [watch(tmp_path, confirm=confirm)]))
    later = records(tmp_path)[1:]
    assert [record.step for record in later] == [1, 2, 3]
    assert all(record.drifts[0].total_variation is not None for record in later)
    assert all("a judge's own fault" in record.failures[0].reason for record in later)
    assert later[-1].cost.failures_total["confirm/JudgeError"] == 3
    assert sum("replies at step" in record.message for record in caplog.records) == 1


def test_replies_that_cannot_be_begun_leave_the_screen_and_say_why(tmp_path, without, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("full")

    monkeypatch.setattr("driftwatch.watch.preparing.PreparedReplies.begin", full)
    assert_trained_as(without, train(tmp_path, [watch(tmp_path)]))
    found = records(tmp_path)
    assert [record.step for record in found] == [0, 1, 2, 3]
    why = "the baseline's could not be had before training: RuntimeError: full"
    assert all(f"no replies are drawn in this run: {why}" in record.notes for record in found)
    info = RunStore(tmp_path / "runs" / "r").info()
    assert (info.replies_drawn, info.replies_refused) == (False, why)
    assert found[-1].cost.failures_total == {"confirm/refused": 1}


class OwnProbe:
    """A probe of a user's own that fails at some of its observations."""

    kind = "own"

    def __init__(self, *at):
        self.at, self.times = at, -1

    def prepare(self, model, tokenizer, topics):
        self.topics = topics

    def identity(self):
        return {}

    def measure(self, model, *, permuted=False):
        self.times += not permuted
        if self.times in self.at:
            raise ZeroDivisionError("a fault of the probe")
        return []


def test_a_probe_of_ones_own_costs_itself_alone(tmp_path, without):
    probes = (StatementProbe(naysaying_items=0), OwnProbe(2))
    assert_trained_as(without, train(tmp_path, [watch(tmp_path, probes=probes, confirm=None)]))
    found = records(tmp_path)
    assert [bool(record.failures) for record in found] == [False, False, True, False]
    assert found[2].failures[0].probe == "own"
    assert all(record.drifts for record in found)


def test_a_probe_of_ones_own_that_fails_at_the_start_is_left_out_of_the_run(tmp_path, without):
    probes = (StatementProbe(naysaying_items=0), OwnProbe(0))
    assert_trained_as(without, train(tmp_path, [watch(tmp_path, probes=probes, confirm=None)]))
    notes = RunStore(tmp_path / "runs" / "r").info().notes
    assert "the probe own failed at the start: ZeroDivisionError: a fault of the probe" in notes
    assert [record.step for record in records(tmp_path)] == [0, 1, 2, 3]


@pytest.mark.parametrize("options", [{"baseline": "nowhere"}, {"alerting_baseline": "sft"}])
def test_what_the_user_can_mend_raises_before_the_first_step(options, tmp_path):
    with pytest.raises((BaselineError, ConfigError)):
        train(tmp_path, [watch(tmp_path, **options)])


def test_raise_is_for_tests(tmp_path):
    model = tiny_model(tiny_tokenizer())
    Faulty(model, always_from=1)
    with pytest.raises((RuntimeError, ProbeError), match="a fault of the model"):
        train(tmp_path, [watch(tmp_path, on_error="raise")], model)
