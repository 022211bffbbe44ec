"""The demo's two trainings, written as a user would write them: TRL trainers with one callback added."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftwatch.demo.data import Example, Pair
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.watch.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Recipe:
    """The sizes of both trainings.

    Attributes:
        sft_batch: Examples per step; the balanced SFT set is seen `sft_epochs` times.
        dpo_steps: Number of steps, with `dpo_batch` pairs each.
        sft_rank: Rank of the SFT's adapters, on all linear layers, which are merged after it; 0 trains all weights.
        dpo_rank: Rank of the DPO's adapters.
        look_every: DPO steps between two observations.
        save_every: DPO steps between two checkpoints, from which a repeated call goes on; 0 saves none.
        bf16: Whether to autocast to bfloat16, which is two to three times faster on processors with AVX512-BF16.
    """

    sft_epochs: float = 1.0
    sft_batch: int = 16
    sft_rate: float = 2e-4
    dpo_steps: int = 24
    dpo_batch: int = 4
    dpo_rate: float = 5e-4
    sft_rank: int = 16
    dpo_rank: int = 16
    look_every: int = 3
    save_every: int = 0
    bf16: bool = False
    seed: int = 0


# For the tiny model of `fast.py`, which must first learn everything that it can say.
FAST = Recipe(
    sft_epochs=10, sft_batch=32, sft_rate=6e-3, sft_rank=0, dpo_steps=48, dpo_rate=3e-3, look_every=6, bf16=False
)


def watching(look_every: int) -> dict[str, Any]:
    """Arguments of DriftCallback by which the demo observes every `look_every` steps, whatever that costs."""
    return {
        "probes": (StatementProbe(naysaying_items=3),),
        "schedule": Schedule(every_steps=look_every, early_dense=False, budget=None),
    }


def short_replies() -> Confirmation:
    """The demo's `confirm` for DriftCallback, set for its short replies."""
    return Confirmation(decoding=Decoding(max_new_tokens=16))


def bf16_pays() -> bool:
    """Whether this machine multiplies bfloat16 matrices faster than float32 matrices."""
    import torch

    return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()


def run_sft(
    model: Any, tokenizer: Any, examples: Sequence[Example], folder: Path, recipe: Recipe, callbacks: Sequence[Any]
) -> Any:
    """Fine-tune on examples; returns the model with any adapter merged, as SFT leaves it to the next stage."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            num_train_epochs=recipe.sft_epochs,
            per_device_train_batch_size=recipe.sft_batch,
            learning_rate=recipe.sft_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=2,
            max_length=256,
            save_strategy="no",
            **_common(recipe),
        ),
        train_dataset=Dataset.from_list(list(examples)),
        processing_class=tokenizer,
        peft_config=_lora(recipe.sft_rank),
        callbacks=list(callbacks),
    )
    _quiet(trainer)
    trainer.train()
    trained = trainer.model
    return trained.merge_and_unload() if recipe.sft_rank else trained


def run_dpo(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], folder: Path, recipe: Recipe, callbacks: Sequence[Any]
) -> Any:
    """Run DPO on the SFT model; returns the trained model with its adapters."""
    from datasets import Dataset
    from transformers.trainer_utils import get_last_checkpoint
    from trl import DPOConfig, DPOTrainer

    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(folder),
            max_steps=recipe.dpo_steps,
            per_device_train_batch_size=recipe.dpo_batch,
            learning_rate=recipe.dpo_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=2,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, 1.0],
            max_length=256,
            **_common(recipe),
            **_saving(recipe.save_every),
        ),
        train_dataset=Dataset.from_list(list(pairs)),
        processing_class=tokenizer,
        peft_config=_lora(recipe.dpo_rank),
        callbacks=list(callbacks),
    )
    _quiet(trainer)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(folder) if folder.is_dir() else None)
    return trainer.model


def _common(recipe: Recipe) -> dict[str, Any]:
    import torch

    return {
        "use_cpu": not torch.cuda.is_available(),  # bf16 without a GPU is refused unless the CPU is asked for
        "bf16": recipe.bf16,
        "seed": recipe.seed,
        "report_to": [],
        "gradient_checkpointing": None,  # TRL switches it on, which costs a third of the time on so small a model
        "logging_steps": 4,
        "disable_tqdm": True,
    }


def _saving(save_every: int) -> dict[str, Any]:
    return {"save_strategy": "steps", "save_steps": save_every} if save_every else {"save_strategy": "no"}


def _lora(rank: int) -> Any:
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def _quiet(trainer: Any) -> None:
    """Silence the Trainer, whose log lines would break up the demo's own progress display."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
