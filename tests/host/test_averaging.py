"""Optimizers with modes of their own, tried on a copy before they are used."""

import logging

import pytest
import torch
from transformers import Trainer, TrainingArguments

from driftwatch import DriftCallback, RunStore, Schedule
from driftwatch.host.averaging import averaged_weights, with_modes
from driftwatch.testing import tiny_model, tiny_pack


class Averaging(torch.optim.SGD):
    """Keeps an exponential average that its first step makes, as SPlus of pytorch_optimizer does."""

    def __init__(self, params, lr=1e-2):
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["train_mode"] = True

    @torch.no_grad()
    def _swap(self, mode):
        for group in self.param_groups:
            if group["train_mode"] is not mode:
                for p in group["params"]:
                    state = self.state[p]
                    kept = p.clone()
                    p.copy_(state["kept"] if mode else state["ema"])  # KeyError before the first step
                    state["kept"] = kept
                group["train_mode"] = mode

    def train(self):
        self._swap(True)

    def eval(self):
        self._swap(False)

    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].setdefault("ema", p.detach().clone()).lerp_(p.detach(), 0.1)
        return loss


class Lost(Averaging):
    """Comes back to somewhere else."""

    def train(self):
        self._swap(True)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(1.0)


class Wrapper:
    """Hands everything on, as wrappers do, modes included."""

    def __init__(self, inner, name):
        setattr(self, name, inner)
        self._name = name

    @property
    def param_groups(self):
        inner = getattr(self, self._name)
        return (inner[0] if isinstance(inner, list) else inner).param_groups

    def eval(self):
        raise AssertionError("a wrapper's own mode was asked")

    train = eval


@pytest.fixture
def weights():
    return [torch.nn.Parameter(torch.randn(4, generator=torch.Generator().manual_seed(0))) for _ in range(2)]


def trained(weights, kind=Averaging):
    optimizer = kind(weights)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    return optimizer


def test_the_average_is_seen_and_training_goes_on_bit_for_bit(weights):
    optimizer = trained(weights)
    for weight in weights:
        weight.data.add_(1.0)
    before = [weight.detach().clone() for weight in weights]
    with averaged_weights(optimizer):
        assert all(torch.equal(w, optimizer.state[w]["ema"]) for w in weights)
        assert not any(torch.equal(w, b) for w, b in zip(weights, before, strict=True))
    assert all(torch.equal(w, b) for w, b in zip(weights, before, strict=True))


def test_before_the_first_step_nothing_is_called_and_nothing_is_said(weights, caplog):
    optimizer = Averaging(weights)
    with caplog.at_level(logging.WARNING), averaged_weights(optimizer):
        assert not optimizer.state
    assert caplog.messages == []


def test_an_optimizer_that_does_not_come_back_is_left_alone_and_named(weights, caplog):
    optimizer = trained(weights, Lost)
    before = [weight.detach().clone() for weight in weights]
    with caplog.at_level(logging.WARNING), averaged_weights(optimizer):
        assert optimizer.param_groups[0]["train_mode"] is True
    assert all(torch.equal(w, b) for w, b in zip(weights, before, strict=True))
    with caplog.at_level(logging.WARNING), averaged_weights(optimizer):
        pass
    assert caplog.text.count("Lost has modes") == 1
    assert "do not lead back" in caplog.text


def test_the_trial_leaves_the_state_as_it_was(weights):
    optimizer = trained(weights)
    before = [sorted(optimizer.state[w]) for w in weights]
    with averaged_weights(optimizer):
        pass
    kept = [{k: v for k, v in optimizer.state[w].items() if k != "kept"} for w in weights]
    assert before == [["ema"], ["ema"]]
    assert all(sorted(state) == ["ema"] for state in kept)


@pytest.mark.parametrize("name", ["optimizer", "_optimizer", "base_optimizer"])
def test_it_is_found_below_any_wrapper(weights, name):
    inner = trained(weights)
    wrapped = Wrapper(Wrapper(inner, name), "optimizer")
    assert with_modes(wrapped) == [inner]
    with averaged_weights(wrapped):
        assert inner.param_groups[0]["train_mode"] is False


def test_several_optimizers_in_one(weights):
    parts = [trained(weights[:1]), trained(weights[1:])]
    assert with_modes(Wrapper(parts, "optimizers")) == parts


def test_a_training_that_runs_alone_is_not_ended(tmp_path, tiny_tokenizer):
    model = tiny_model(tiny_tokenizer)
    optimizer = Averaging(model.parameters())
    ids = tiny_tokenizer("I want more nature in the street. ")["input_ids"]
    schedule = Schedule(every_steps=1, early_dense=False, budget=None)
    watch = DriftCallback(tiny_pack(), exporters=(), run="r", output_dir=tmp_path, schedule=schedule)
    args = TrainingArguments(
        str(tmp_path / "out"), max_steps=3, report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no"
    )
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    Trainer(
        model,
        args,
        train_dataset=[{"input_ids": ids, "labels": ids}] * 8,
        processing_class=tiny_tokenizer,
        callbacks=[watch],
        optimizers=(optimizer, rate),
    ).train()
    assert [record.step for record in RunStore(tmp_path / "r").records()] == [0, 1, 2, 3]
    assert not any(record.failures for record in RunStore(tmp_path / "r").records())
