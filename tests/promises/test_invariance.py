"""Training with driftwatch ends where it would have ended without: same weights, optimizer and losses, bit for bit.

The probe used here looks at every step and is as careless as a probe can be: besides asking its questions it draws from
every global generator, samples, and leaves modes and settings as it likes. Each kind of training runs twice, with and
without; `test_comparison_notices_a_callback_that_is_not_guarded` shows that the comparison can fail.
"""

import pytest
import torch
from support.invariance import StopEarly, assert_same, compare, compiles, outcome, renamed, watcher, with_lora
from transformers import TrainerCallback


def with_frozen_part_in_eval_mode(model):
    model.model.layers[0].requires_grad_(False).eval()
    return model


def test_full_training_with_dropout(make_trainer, tmp_path):
    compare(make_trainer(), tmp_path)


@renamed
def test_lora_with_dropout(make_trainer, tmp_path):
    compare(make_trainer(wrap=with_lora), tmp_path)


@renamed
@pytest.mark.parametrize("kwargs", [{"use_reentrant": False}, {"use_reentrant": True}])
def test_gradient_checkpointing(make_trainer, tmp_path, kwargs):
    make = make_trainer(gradient_checkpointing=True, gradient_checkpointing_kwargs=kwargs)
    watched = compare(make, tmp_path)
    assert watched.model.model._gradient_checkpointing_func.keywords == kwargs


def test_gradient_accumulation(make_trainer, tmp_path):
    compare(make_trainer(gradient_accumulation_steps=3), tmp_path)


def test_bf16(make_trainer, tmp_path):
    compare(make_trainer(bf16=True), tmp_path)


def test_weights_in_bf16(make_trainer, tmp_path):
    compare(make_trainer(wrap=lambda model: model.to(torch.bfloat16)), tmp_path)


def test_submodule_kept_in_eval_mode(make_trainer, tmp_path):
    compare(make_trainer(wrap=with_frozen_part_in_eval_mode), tmp_path)


def test_evaluation_between_looks(make_trainer, tmp_path):
    compare(make_trainer(eval_strategy="steps", eval_steps=2), tmp_path)


def test_early_stop(make_trainer, tmp_path):
    watched = compare(make_trainer(callbacks=[StopEarly]), tmp_path)
    assert watched.state.global_step == 2


def test_resumed_training(make_trainer, tmp_path):
    make = make_trainer(save_strategy="steps", save_steps=2)
    compare(make, tmp_path)
    plain = make([], tmp_path / "plain")
    plain.train(resume_from_checkpoint=str(tmp_path / "plain" / "checkpoint-2"))
    callback = watcher(tmp_path)
    watched = make([callback], tmp_path / "watched")
    watched.train(resume_from_checkpoint=str(tmp_path / "watched" / "checkpoint-2"))
    assert_same(outcome(plain), outcome(watched))
    steps = [record.step for record in callback.monitor.store.records(superseded=True)]
    assert steps == [0, 1, 2, 3, 4, 3, 4]


@compiles
@pytest.mark.slow
def test_compiled_training_is_neither_changed_nor_recompiled(make_trainer, tmp_path):
    from torch._dynamo.utils import counters

    compiled = {}
    for name, callbacks in (("plain", []), ("watched", [watcher(tmp_path)])):
        torch._dynamo.reset()
        counters.clear()
        trainer = make_trainer(torch_compile=True, torch_compile_backend="aot_eager")(callbacks, tmp_path / name)
        trainer.train()
        compiled[name] = outcome(trainer), dict(counters["stats"])
    torch._dynamo.reset()
    assert_same(compiled["plain"], compiled["watched"])
    assert compiled["plain"][1]["unique_graphs"] > 0


@renamed
@pytest.mark.parametrize("adapter", [False, True])
def test_dpo(make_dpo, tmp_path, adapter):
    compare(make_dpo(adapter=adapter), tmp_path)


@renamed
@pytest.mark.parametrize("kind", ["GRPO", "RLOO"])
def test_training_that_samples(make_sampling, tmp_path, kind):
    """Its replies come from the global generator: a number drawn by an observation would change what it learns from."""
    watched = compare(make_sampling(kind), tmp_path)
    assert len({line["reward"] for line in watched.state.log_history if "reward" in line}) > 1


def test_comparison_notices_a_callback_that_is_not_guarded(make_trainer, tmp_path):
    class Unguarded(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            torch.rand(1)

    plain = make_trainer()([], tmp_path / "plain")
    plain.train()
    disturbed = make_trainer(callbacks=[Unguarded])([], tmp_path / "disturbed")
    disturbed.train()
    with pytest.raises(AssertionError, match="weights"):
        assert_same(outcome(plain), outcome(disturbed))
