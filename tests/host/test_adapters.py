"""Adapters that have learned nothing: the model below them is the one that training starts from, up to rounding."""

import peft
import pytest
import torch
from support.small_trainings import callback, replies, trainer

from driftwatch import RunStore
from driftwatch.host.adapters import has_learned_nothing
from driftwatch.testing import tiny_model, tiny_tokenizer

TARGETS = ["q_proj", "v_proj"]
# TRL and peft ask for names that transformers is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:`.*` is deprecated:FutureWarning")


def adapted(dtype=torch.bfloat16, make=peft.LoraConfig, **settings):
    torch.manual_seed(0)
    model = tiny_model(tiny_tokenizer()).to(dtype)
    settings = {"r": 2, "target_modules": TARGETS, **settings} if make is peft.LoraConfig else settings
    return peft.get_peft_model(model, make(task_type="CAUSAL_LM", **settings))


def layer(model):
    return next(module for module in model.modules() if hasattr(module, "lora_magnitude_vector"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("use_dora", [False, True])
def test_fresh_lora_and_dora_have_learned_nothing_in_any_dtype(dtype, use_dora):
    assert has_learned_nothing(adapted(dtype, use_dora=use_dora))


def learned_a_factor(model):
    layer(model).lora_B["default"].weight[0, 0] = 1e-6


def learned_a_magnitude(model):
    layer(model).lora_magnitude_vector["default"].weight[0] *= 1.02


@pytest.mark.parametrize("learn", [learned_a_factor, learned_a_magnitude])
def test_one_number_that_was_learned_is_something(learn):
    model = adapted(use_dora=True)
    with torch.no_grad():
        learn(model)
    assert not has_learned_nothing(model)


@pytest.mark.parametrize(
    "model",
    [
        lambda: adapted(init_lora_weights=False),
        lambda: adapted(torch.float32, init_lora_weights="pissa"),
        lambda: adapted(modules_to_save=["lm_head"]),
        lambda: adapted(torch.float32, make=peft.IA3Config, target_modules=["v_proj"], feedforward_modules=[]),
        lambda: tiny_model(tiny_tokenizer()),
    ],
    ids=["without init", "PiSSA", "whole modules", "another kind", "no adapter"],
)
def test_what_may_be_no_identity_is_not_taken_for_one(model):
    assert not has_learned_nothing(model())


def watched(folder, model):
    trainer(folder, tiny_tokenizer(), [callback(folder, confirm=replies())], model).train()
    return RunStore(folder / "runs" / "r1")


def test_alerts_of_a_fresh_bf16_dora_rest_on_the_model_below_it(tmp_path):
    """Its quotient of magnitude and norm is rounded, so that likelihoods with and without it differ."""
    run = watched(tmp_path, adapted(use_dora=True))
    assert run.info().alerting_baseline == "sft"
    assert all(found.num_draws for found in run.records()[-1].evidence)


def test_alerts_of_a_bf16_dora_that_goes_on_rest_on_the_start(tmp_path):
    model = adapted(use_dora=True)
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, "lora_magnitude_vector"):
                module.lora_B["default"].weight.normal_(std=0.01)
    assert watched(tmp_path, model).info().alerting_baseline == "start"
