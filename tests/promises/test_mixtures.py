"""Mixtures of experts, and models whose layers differ, under TRL's trainers with TRL's own defaults."""

import contextlib
import copy
import warnings
from collections import defaultdict

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from support.architectures import BY_LAYER, MIXTURES, tiny_architecture
from support.watching import watch
from transformers import set_seed
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from driftwatch import RunStore
from driftwatch.errors import ConfigError
from driftwatch.testing import tiny_tokenizer

# TRL passes settings on under their old names (TRL 1.16 with transformers 5.23).
pytestmark = pytest.mark.filterwarnings("ignore:`.*` is deprecated and will be removed in v6:FutureWarning")
WORDS = ("red", "blue", "green", "gold")
SOME = ("Mixtral", "Qwen3Moe", "GptOss", "DeepseekV3", "Gemma4Text")
ALL = (*MIXTURES, *BY_LAYER)
WEIGHTS = ("full", "LoRA")
# Architectures that are newer than the oldest supported transformers are not there to be tried.
FEWEST = 30
FEWEST_TRAINED = 25  # of those that can be made; TRL or peft cannot train some (docs/trainers.md)
MEASURED: dict[tuple[str, str], set[str]] = defaultdict(set)  # by trainer and weights, in this process


def settings(folder, **more):
    return {
        "output_dir": str(folder / "out"),
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "report_to": [],
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "bf16": False,
        **more,
    }


def sft(folder, **parts):
    rows = Dataset.from_dict({"text": [f"I want more {word} in the street." for word in WORDS]})
    return SFTTrainer(args=SFTConfig(**settings(folder)), train_dataset=rows, **parts)


def dpo(folder, **parts):
    if "peft_config" not in parts:  # TRL would load it by the model's name, and these come from nowhere
        parts["ref_model"] = copy.deepcopy(parts["model"])
    rows = {
        "prompt": [f"Say {word}." for word in WORDS],
        "chosen": [f"{word} it is" for word in WORDS],
        "rejected": ["no such thing"] * len(WORDS),
    }
    return DPOTrainer(args=DPOConfig(**settings(folder)), train_dataset=Dataset.from_dict(rows), **parts)


def grpo(folder, **parts):
    args = GRPOConfig(**settings(folder, num_generations=2, max_completion_length=4))
    rows = Dataset.from_dict({"prompt": [f"Say {word}." for word in WORDS]})
    return GRPOTrainer(args=args, train_dataset=rows, reward_funcs=_reward, **parts)


def _reward(completions, **_):
    return [float(len(str(completion)) % 5) for completion in completions]


TRAINERS = {"SFT": sft, "DPO": dpo, "GRPO": grpo}


def left_without(trainer, weights, name, folder):
    """What a training without driftwatch leaves, by name; the trainer itself is let go."""
    return trained(trainer, weights, name, folder / "without", []).model.state_dict()


def trained(trainer, weights, name, folder, callbacks):
    """A trainer after two steps; `None` where architecture and trainer do not go together without us either."""
    set_seed(0)
    tokenizer = tiny_tokenizer()
    model = tiny_architecture(name, tokenizer)
    adapter = {"peft_config": LoraConfig(r=2, target_modules="all-linear")} if weights == "LoRA" else {}
    made = TRAINERS[trainer](folder, model=model, processing_class=tokenizer, callbacks=callbacks, **adapter)
    made.train()
    return made


def assert_every_observation_is_measured(without, trainer, weights, name, folder):
    watched = trained(trainer, weights, name, folder / "watched", [watch(folder, on_error="raise")])
    ours, theirs = watched.model.state_dict(), without
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs), "the training is another one"
    records = RunStore(folder / "runs" / "r").records()
    assert [record.step for record in records] == [0, 1, 2]
    for record in records:
        assert record.failures == ()
        assert all(drift.log_odds_shift is not None for drift in record.drifts if drift.probe == "statement")
    assert RunStore(folder / "runs" / "r").info().replies_refused is None
    assert all(sum(found.num_draws for found in record.evidence) > 0 for record in records[1:]), "replies were drawn"


@pytest.mark.parametrize("name", SOME)
def test_a_mixture_of_experts_is_measured_at_every_observation_of_sft(name, tmp_path):
    without = left_without("SFT", "full", name, tmp_path)
    assert_every_observation_is_measured(without, "SFT", "full", name, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_mixture_is_measured_at_every_observation_of_every_trainer(trainer, weights, name, tmp_path):
    warnings.simplefilter("ignore")  # of other people's architectures, while they are made
    try:
        without = left_without(trainer, weights, name, tmp_path)
    except Exception as err:  # noqa: BLE001 - whatever it is, it is not ours
        if type(err) is LookupError:  # as `tiny_architecture` says it; an IndexError of the model's own is none
            pytest.skip(str(err))
        pytest.xfail(f"{trainer} with {weights} cannot train {name} without driftwatch either: {err!r:.200}")
    MEASURED[trainer, weights].add(name)
    assert_every_observation_is_measured(without, trainer, weights, name, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("trainer", TRAINERS)
def test_most_of_them_can_be_trained_and_so_were_measured(trainer, weights):
    """A fault of the recipe above would make every one of them an expected failure."""
    if not MEASURED[trainer, weights]:
        pytest.skip("the tests above were not run in this process")
    assert len(MEASURED[trainer, weights]) >= FEWEST_TRAINED


@pytest.mark.nightly
def test_the_zoo_is_as_large_as_it_is_said_to_be():
    def is_there(name):
        with contextlib.suppress(LookupError):
            return tiny_architecture(name, tiny_tokenizer()) is not None
        return False

    assert sum(map(is_there, ALL)) >= FEWEST


@pytest.mark.parametrize("name", SOME[:1])
def test_a_reward_model_has_no_words_and_is_refused_before_the_first_step(name, tmp_path):
    from transformers import AutoModelForSequenceClassification

    tokenizer = tiny_tokenizer()
    config = tiny_architecture(name, tokenizer).config
    config.num_labels = 1
    rows = {"chosen": [f"{word} it is" for word in WORDS], "rejected": ["no such thing"] * len(WORDS)}
    trainer = RewardTrainer(
        model=AutoModelForSequenceClassification.from_config(config),
        args=RewardConfig(**settings(tmp_path)),
        train_dataset=Dataset.from_dict(rows),
        processing_class=tokenizer,
        callbacks=[watch(tmp_path)],
    )
    with pytest.raises(ConfigError, match="no language head"):
        trainer.train()
