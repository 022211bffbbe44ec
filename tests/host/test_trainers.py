"""The table of trainers and what it decides; tests/compat holds its rows against real training."""

from importlib import import_module
from importlib.util import find_spec

import pytest
from torch import nn
from transformers import (
    LlamaForSequenceClassification,
    LlamaModel,
    Seq2SeqTrainingArguments,
    T5Config,
    T5ForConditionalGeneration,
    TrainingArguments,
)

from driftwatch.host.trainers import TRAINERS, policy_of, refusal, trainer_of
from driftwatch.testing import tiny_model

UP_TO_1_12 = {"PPOTrainer", "NashMDTrainer", "XPOTrainer"}  # left TRL after that version


def test_rows_name_classes_that_exist_where_they_say(monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    present = [row for row in TRAINERS if find_spec(row.module) is not None]
    assert {row.trainer for row in TRAINERS} - {row.trainer for row in present} <= UP_TO_1_12
    for row in present:
        module = import_module(row.module)
        assert hasattr(module, row.trainer), row
        assert hasattr(module, row.arguments), row


def test_trainer_is_named_by_its_arguments_also_by_derived_ones(tmp_path):
    class Mine(Seq2SeqTrainingArguments):
        pass

    assert trainer_of(TrainingArguments(str(tmp_path))).trainer == "Trainer"
    assert trainer_of(Mine(str(tmp_path))).trainer == "Seq2SeqTrainer"
    assert trainer_of(object()) is None


def test_policy_is_taken_out_of_the_wrapper_of_ppo_and_of_replicas_of_it(tiny_llama):
    class PolicyAndValueWrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.policy, self.value_model = tiny_llama, nn.Linear(1, 1)

    wrapper, replica = PolicyAndValueWrapper(), nn.Module()
    replica.module = wrapper
    assert policy_of(tiny_llama) is tiny_llama
    assert policy_of(wrapper) is tiny_llama
    assert policy_of(replica) is tiny_llama


def test_model_without_language_head_is_refused_with_a_sentence(tiny_llama):
    for headless in (LlamaForSequenceClassification(tiny_llama.config), LlamaModel(tiny_llama.config)):
        assert f"{type(headless).__name__} has no language head" in refusal(headless)


def test_encoder_decoder_is_refused_with_a_sentence():
    config = T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=0)
    assert "T5ForConditionalGeneration is an encoder-decoder" in refusal(T5ForConditionalGeneration(config))


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])
def test_language_models_are_not_refused_nor_with_adapters(tiny_tokenizer, kind):
    from peft import LoraConfig, get_peft_model

    model = tiny_model(tiny_tokenizer, kind)
    assert refusal(model) is None
    assert refusal(get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))) is None


def test_what_says_nothing_of_itself_is_refused_only_under_a_trainer_that_never_trains_a_policy():
    reward = next(row for row in TRAINERS if row.trainer == "RewardTrainer")
    assert refusal(nn.Linear(1, 1)) is None
    assert "Linear has no language head" in refusal(nn.Linear(1, 1), reward)
