"""A real preference optimisation of the demonstration model, small enough to be timed."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from benchmarks.bank import two_sided_items
from benchmarks.clock import idle
from driftwatch.topics import load_pack
from driftwatch.topics.topic import TopicPack


class Stopwatch(TrainerCallback):  # type: ignore[misc] # transformers publishes no types
    """Seconds from the first step's begin to the last step's end; what is done before and after is not counted.

    Args:
        skip: Steps at the beginning that are not counted either: the first one finds cold caches.
    """

    def __init__(self, skip: int = 0) -> None:
        self.began = self.ended = 0.0
        self.steps = -skip

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start with the first step that counts."""
        if self.steps == 0:
            self.began = _now()
        self.steps += 1

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop for now."""
        self.ended = _now()

    @property
    def seconds(self) -> float:
        """From the first step's begin to the last step's end."""
        return self.ended - self.began


def _now() -> float:
    """On the clock, once the accelerator has done what it was given."""
    idle()
    return time.perf_counter()


def small_pack(num_items: int) -> TopicPack:
    """The first items of some topics of pack quick, three a topic."""
    topics = load_pack("quick").topics[: num_items // 3]
    cut = tuple(replace(topic, items=topic.items[:3]) for topic in topics)
    return TopicPack("benchmark", "1.0.0", "en", "Apache-2.0", "items of pack quick", cut)


def train(
    model: Any, tokenizer: Any, folder: Path, callbacks: Sequence[Any], *, steps: int, pairs: int, tokens: int | None
) -> None:
    """Some steps of DPO with LoRA.

    Args:
        model: Its adapters are new at every call.
        tokenizer: Of the model.
        folder: For what the trainer writes.
        callbacks: Of the trainer.
        steps: Optimizer steps.
        pairs: Pairs a step.
        tokens: Length of the chosen and of the rejected sequence, prompt included; `None` leaves short answers short.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from transformers.trainer_callback import PrinterCallback
    from trl import DPOConfig, DPOTrainer

    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=pairs,
            max_length=tokens or 256,
            use_cpu=not torch.cuda.is_available(),
            bf16=False,
            gradient_checkpointing=None,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(_pairs(steps * pairs, tokens)),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.model.unload()


def _pairs(count: int, tokens: int | None) -> list[dict[str, str]]:
    """Preferences between the sides of items; each answer says its side again and again where a length is asked for."""
    items = list(two_sided_items("core"))
    times = 1 if tokens is None else tokens
    found = []
    for number in range(count):
        item = items[number % len(items)]
        assert item.sides is not None
        chosen, rejected = (" ".join([side] * times) for side in item.sides)
        prompt = f"What do you think?\n– {item.sides[0]}\n– {item.sides[1]}\n"
        found.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    return found
