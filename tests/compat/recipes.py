"""Real trainers on tiny models: how each is made, and on which models, templates and weights."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from datasets import Dataset
from support.invariance import length_reward, trl_settings
from transformers import AutoModelForCausalLM, set_seed

from driftwatch.host.trainers import TRAINERS
from driftwatch.testing import CHAT_TEMPLATE, tiny_model, tiny_tokenizer

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # it warns on import; these tests are about just that

QUANTISED = "fresh LoRA on a 4-bit base"
WORDS = ("red", "blue", "green", "gold", "grey", "pink", "black", "white")
LLAMA_3 = (
    "{% if messages[0]['role'] != 'system' %}<|start_header_id|>system<|end_header_id|>\n\nToday: "
    "{{ date_string if date_string is defined else strftime_now('%d %b %Y') }}<|eot_id|>{% endif %}"
    "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN_3 = (  # thinks unless it is told not to; a closed block of thoughts is how it is told
    CHAT_TEMPLATE + "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}"
)
ALWAYS_THINKS = CHAT_TEMPLATE + "{% if add_generation_prompt %}<think>\n{% endif %}"
GEMMA = (  # no system role, and the assistant is called "model"
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """Models of one kind with the template that they are trained with."""

    name: str
    kind: str = "llama"
    template: str | None = CHAT_TEMPLATE

    def tokenizer(self):
        return tiny_tokenizer(chat_template=self.template)


PLAIN = Family("Llama, ChatML-style template")
FAMILIES = (
    Family("Llama, Llama-3-style template with a date", template=LLAMA_3),
    Family("Llama, base model without a template", template=None),
    Family("Qwen3, thinking on in training, off when asked", "qwen3", QWEN_3),
    Family("Qwen3, a template that always thinks", "qwen3", ALWAYS_THINKS),
    Family("Gemma 3, Gemma-style template", "gemma3", GEMMA),
)


@dataclass(frozen=True)
class Recipe:
    """One row of the table: a trainer, how it is set, and what it trains."""

    trainer: str
    settings: dict[str, Any] = field(default_factory=dict)
    family: Family = PLAIN
    weights: str = "full"

    @property
    def support(self):
        return next(row for row in TRAINERS if row.trainer == self.trainer)

    @property
    def shown_settings(self):
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())

    @property
    def name(self):
        """Of the test."""
        special = [self.family.name if self.family is not PLAIN else "", self.weights if self.weights != "full" else ""]
        return "-".join(part for part in (self.trainer, self.shown_settings, *special) if part)

    @property
    def is_in_this_trl(self):
        """By what is there, not by version; an import that fails is an error of the environment."""
        module = self.support.module
        return find_spec(module) is not None and hasattr(import_module(module), self.trainer)

    def make(self, callbacks, folder):
        """A trainer; the same model, data and seeds each time."""
        set_seed(0)  # not every trainer seeds all that it draws from: PPO shuffles with numpy
        tokenizer = self.family.tokenizer()
        module = import_module(self.support.module)
        defaults, parts = PARTS[self.trainer](self, tokenizer)
        settings = {**trl_settings(folder), "save_strategy": "steps", "save_steps": 2, **defaults, **self.settings}
        return getattr(module, self.trainer)(
            model=self.model(tokenizer, folder / "model"),
            args=getattr(module, self.support.arguments)(**settings),
            processing_class=tokenizer,
            callbacks=list(callbacks),
            **parts,
            **({"peft_config": lora()} if self.weights in ("fresh LoRA", QUANTISED) else {}),
        )

    def model(self, tokenizer, folder):
        """Loaded from a folder, as people do: some trainers load their frozen copy from there by themselves."""
        if not folder.exists():
            size = {"hidden_size": 64} if self.weights == QUANTISED else {}  # blocks of 64 weights share a scale
            tiny_model(tokenizer, self.family.kind, dropout=0.1, **size).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        options = {"quantization_config": in_four_bits(), "device_map": "cpu"} if self.weights == QUANTISED else {}
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
        return continued(base) if self.weights == "continued SFT adapter" else base

    def reference(self, tokenizer):
        """A frozen copy for full training; with adapters the trainers make their own."""
        return tiny_model(tokenizer, self.family.kind) if self.weights == "full" else None

    # What trainers learn from

    def prompts(self):
        return Dataset.from_dict({"prompt": [self._prompt(word) for word in WORDS]})

    def preferences(self, **more):
        columns = {
            "prompt": [self._prompt(word) for word in WORDS],
            "chosen": [self._reply(f"{word} it is") for word in WORDS],
            "rejected": [self._reply("no such thing") for _ in WORDS],
        }
        return Dataset.from_dict({**columns, **more})

    def judged(self):
        """Single replies that are wanted or not."""
        return Dataset.from_dict(
            {
                "prompt": [self._prompt(word) for word in WORDS],
                "completion": [self._reply(f"{word} it is") for word in WORDS],
                "label": [number % 2 == 0 for number in range(len(WORDS))],
            }
        )

    def texts(self):
        if self.family.template is None:
            return Dataset.from_dict({"text": [f"Name {word}. {word} it is" for word in WORDS]})
        turns = [[*self._prompt(word), *self._reply(f"{word} it is")] for word in WORDS]
        return Dataset.from_dict({"messages": turns})

    def tokens(self, tokenizer):
        ids = tokenizer([f"Name {word}." for word in WORDS], padding=True, padding_side="left")["input_ids"]
        return Dataset.from_dict({"input_ids": ids})

    def _prompt(self, word):
        text = f"Name {word}."
        return text if self.family.template is None else [{"role": "user", "content": text}]

    def _reply(self, text):
        return f" {text}" if self.family.template is None else [{"role": "assistant", "content": text}]


def in_four_bits():
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)


def lora():
    from peft import LoraConfig

    return LoraConfig(r=2, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


def continued(base):
    """A model with an adapter that an earlier SFT left: its second factor is no longer zero."""
    from peft import get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = get_peft_model(base, lora())
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
    return model


# For each trainer: settings that make it small, and what it is given besides the model.


def plain(recipe, tokenizer):
    from transformers import default_data_collator

    rows = [{"input_ids": ids, "labels": ids} for ids in recipe.tokens(tokenizer)["input_ids"]]
    return {}, {"train_dataset": rows, "data_collator": default_data_collator}


def sft(recipe, tokenizer):
    return {"max_length": 64}, {"train_dataset": recipe.texts()}


def preference(recipe, tokenizer, *, reference=False):
    parts = {"train_dataset": recipe.preferences()}
    return {}, {**parts, "ref_model": recipe.reference(tokenizer)} if reference else parts


def triple(recipe, tokenizer):
    return {}, {"train_dataset": recipe.preferences(reference=[recipe._reply(f"it is {word}") for word in WORDS])}


def kto(recipe, tokenizer):
    return {}, {"train_dataset": recipe.judged(), "ref_model": recipe.reference(tokenizer)}


def sampled(recipe, tokenizer):
    return (
        {"num_generations": 2, "max_completion_length": 6},
        {"train_dataset": recipe.prompts(), "reward_funcs": length_reward},
    )


def a2po(recipe, tokenizer):
    return {"num_value_samples": 2, "max_completion_length": 6}, {
        "train_dataset": recipe.prompts(),
        "reward_funcs": length_reward,
    }


def online(recipe, tokenizer):
    return {"max_new_tokens": 6, "max_length": 64}, {
        "train_dataset": recipe.prompts(),
        "reward_funcs": length_reward,
        "ref_model": tiny_model(tokenizer, recipe.family.kind, seed=1),
    }


def scored(recipe, tokenizer):
    """Online, with a reward model where a function is not taken."""
    settings, parts = online(recipe, tokenizer)
    more = {"reward_processing_classes": tokenizer} if recipe.trainer == "XPOTrainer" else {}
    return settings, {**parts, **more, "reward_funcs": scorer(tokenizer, seed=1)}


def gkd(recipe, tokenizer):
    return {"max_new_tokens": 6, "max_length": 64}, {
        "train_dataset": recipe.texts(),
        "teacher_model": tiny_model(tokenizer, recipe.family.kind, seed=1),
    }


def distillation(recipe, tokenizer):
    return {"max_completion_length": 6}, {
        "train_dataset": recipe.prompts(),
        "teacher_model": tiny_model(tokenizer, recipe.family.kind, seed=1),
    }


def ppo(recipe, tokenizer):
    settings = {
        "total_episodes": 8,
        "num_ppo_epochs": 2,
        "num_mini_batches": 1,
        "local_rollout_forward_batch_size": 2,
        "response_length": 6,
        "num_sample_generations": 0,
    }
    return settings, {
        "train_dataset": recipe.tokens(tokenizer),
        "eval_dataset": recipe.tokens(tokenizer),
        "ref_model": recipe.reference(tokenizer),
        "reward_model": scorer(tokenizer, seed=1),
        "value_model": scorer(tokenizer, seed=2),
    }


def scorer(tokenizer, *, seed=0):
    """A reward model: a tiny Llama with one number instead of words."""
    from transformers import LlamaForSequenceClassification

    config = tiny_model(tokenizer).config
    config.num_labels = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForSequenceClassification(config)


PARTS: dict[str, Callable[..., tuple[dict[str, Any], dict[str, Any]]]] = {
    "Trainer": plain,
    "Seq2SeqTrainer": plain,
    "SFTTrainer": sft,
    "DPOTrainer": partial(preference, reference=True),
    "KTOTrainer": kto,
    "GRPOTrainer": sampled,
    "GMPOTrainer": sampled,
    "RLOOTrainer": sampled,
    "A2POTrainer": a2po,
    "CPOTrainer": preference,
    "ORPOTrainer": preference,
    "TPOTrainer": triple,
    "OnlineDPOTrainer": online,
    "NashMDTrainer": scored,
    "XPOTrainer": scored,
    "GKDTrainer": gkd,
    "DistillationTrainer": distillation,
    "PPOTrainer": ppo,
}


def accepts_checkpoint(trainer):
    """Whether `train` can be told to go on from a checkpoint."""
    parameters = inspect.signature(trainer.train).parameters
    return "resume_from_checkpoint" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


SMOKE = (Recipe("SFTTrainer"), Recipe("DPOTrainer"), Recipe("GRPOTrainer"))
MATRIX = (
    Recipe("Trainer"),
    Recipe("Seq2SeqTrainer"),
    Recipe("DPOTrainer", {"loss_type": "ipo"}),
    Recipe("DPOTrainer", {"loss_type": ["sigmoid", "sft"]}),
    Recipe("KTOTrainer"),
    Recipe("GRPOTrainer", {"beta": 0.1}),
    Recipe("RLOOTrainer"),
    Recipe("DistillationTrainer"),
    Recipe("CPOTrainer", {"loss_type": "simpo", "cpo_alpha": 0.0}),
    Recipe("ORPOTrainer"),
    Recipe("OnlineDPOTrainer"),
    Recipe("GKDTrainer"),
    Recipe("TPOTrainer"),
    Recipe("A2POTrainer"),
    Recipe("GMPOTrainer"),
    *(Recipe(trainer, family=family) for family in FAMILIES for trainer in ("SFTTrainer", "DPOTrainer")),
    Recipe("GRPOTrainer", family=FAMILIES[1]),
    Recipe("GRPOTrainer", family=FAMILIES[2]),
    *(
        Recipe(trainer, weights=weights)
        for trainer in ("SFTTrainer", "DPOTrainer", "KTOTrainer", "GRPOTrainer")
        for weights in ("fresh LoRA", "continued SFT adapter")
    ),
)
# bitsandbytes is large and only these need it; the environment of PPO has it.
FOUR_BIT = (Recipe("SFTTrainer", weights=QUANTISED), Recipe("DPOTrainer", weights=QUANTISED))
# Trainers that left TRL after 1.12; `make compat` has an environment for them.
LEFT = (
    Recipe("PPOTrainer"),
    Recipe("PPOTrainer", weights="fresh LoRA"),
    Recipe("NashMDTrainer"),
    Recipe("XPOTrainer"),
)
