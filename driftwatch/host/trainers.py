"""The trainers that people use, and what the callback has to know about each: pure data and a small lookup.

A callback is given the training arguments and the model, never the trainer. The arguments' class names the trainer
(`DPOConfig` belongs to `DPOTrainer`), even if a user has derived from it. What can be seen on the model is read there;
the table holds the rest. `tests/compat` checks each row in real training, and docs/trainers.md shows the results.
"""

from dataclasses import dataclass
from typing import Any, Literal

ReferenceModel = Literal["none", "frozen copy", "frozen copy if beta > 0", "teacher"]

NO_LANGUAGE_HEAD = (
    "driftwatch asks a causal language model for its views, and {model} has no language head: it gives scores or "
    "hidden states, not words. Add DriftCallback to the trainer of the policy instead."
)
NOT_CAUSAL = (
    "driftwatch asks a causal language model for its views, and {model} is none: {why}. Train it without DriftCallback."
)
NO_TOKENIZER = (
    "driftwatch needs a tokenizer, and the Trainer has no processing_class, nor has its data collator one. "
    "Pass processing_class=… to the Trainer."
)
ENCODER_DECODER = (
    "driftwatch asks causal language models, and {model} is an encoder-decoder. Train it without DriftCallback."
)


@dataclass(frozen=True, slots=True)
class TrainerSupport:
    """What the callback has to know about one trainer.

    Attributes:
        trainer: Name of its class.
        module: Where users import it from.
        arguments: Name of the class of its training arguments.
        reference: The model that it compares the policy with: none; a frozen copy of the policy, which with LoRA is the
            policy with its adapters off; or a teacher. Only adapters can be switched, so the SFT model is found without
            a stored baseline only with LoRA.
        attaches: Whether the trained model can be asked at all.
        stops: Whether it heeds `control.should_training_stop`.
        resumes: Whether `train` can go on from a checkpoint.
        note: A remark for people.
    """

    trainer: str
    module: str
    arguments: str
    reference: ReferenceModel = "none"
    attaches: bool = True
    stops: bool = True
    resumes: bool = True
    note: str = ""


TRAINERS: tuple[TrainerSupport, ...] = (
    TrainerSupport("Trainer", "transformers", "TrainingArguments"),
    TrainerSupport(
        "Seq2SeqTrainer",
        "transformers",
        "Seq2SeqTrainingArguments",
        note="Causal models; encoder-decoders are refused.",
    ),
    TrainerSupport("SFTTrainer", "trl", "SFTConfig"),
    TrainerSupport("DPOTrainer", "trl", "DPOConfig", "frozen copy"),
    TrainerSupport("KTOTrainer", "trl", "KTOConfig", "frozen copy"),
    TrainerSupport(
        "RewardTrainer", "trl", "RewardConfig", attaches=False, note="Refused before training: no language head."
    ),
    TrainerSupport("GRPOTrainer", "trl", "GRPOConfig", "frozen copy if beta > 0", note="beta is 0 by default."),
    TrainerSupport("RLOOTrainer", "trl", "RLOOConfig", "frozen copy"),
    TrainerSupport("DistillationTrainer", "trl", "DistillationConfig", "teacher"),
    TrainerSupport("CPOTrainer", "trl.experimental.cpo", "CPOConfig", note='SimPO is loss_type="simpo".'),
    TrainerSupport("ORPOTrainer", "trl.experimental.orpo", "ORPOConfig"),
    TrainerSupport("OnlineDPOTrainer", "trl.experimental.online_dpo", "OnlineDPOConfig", "frozen copy"),
    TrainerSupport("NashMDTrainer", "trl.experimental.nash_md", "NashMDConfig", "frozen copy", note="Up to TRL 1.12."),
    TrainerSupport("XPOTrainer", "trl.experimental.xpo", "XPOConfig", "frozen copy", note="Up to TRL 1.12."),
    TrainerSupport("GKDTrainer", "trl.experimental.gkd", "GKDConfig", "teacher"),
    TrainerSupport("TPOTrainer", "trl.experimental.tpo", "TPOConfig"),
    TrainerSupport("A2POTrainer", "trl.experimental.a2po", "A2POConfig", "frozen copy"),
    TrainerSupport("GMPOTrainer", "trl.experimental.gmpo", "GMPOConfig", "frozen copy if beta > 0"),
    TrainerSupport(
        "PPOTrainer",
        "trl.experimental.ppo",
        "PPOConfig",
        "frozen copy",
        stops=False,
        resumes=False,
        note="Up to TRL 1.12. The policy is taken out of the wrapper that holds it and the value model.",
    ),
)


def trainer_of(arguments: object) -> TrainerSupport | None:
    """The row of the trainer that takes these training arguments; `None` if the table has none of their classes."""
    rows = {row.arguments: row for row in TRAINERS}
    return next((rows[kind.__name__] for kind in type(arguments).__mro__ if kind.__name__ in rows), None)


def policy_of(model: Any) -> Any:
    """The language model inside what a trainer hands to callbacks.

    PPO's wrapper also holds a value model, and a wrapper with a value head holds that head beside the model.
    """
    held: Any
    for held in (model, getattr(model, "module", None)):  # replicas keep the wrapper under "module"
        if hasattr(held, "policy") and hasattr(held, "value_model"):
            return held.policy
        if hasattr(held, "v_head") and hasattr(held, "pretrained_model"):
            return held.pretrained_model
    return model


def tokenizer_of(processing_class: Any, dataloader: Any = None) -> Any:
    """The tokenizer or processor of a Trainer, or else of its data collator; `None` if neither has one for text.

    Args:
        processing_class: The Trainer's own tokenizer or processor.
        dataloader: The data loader whose collator may have it.
    """
    found, collator = processing_class, getattr(dataloader, "collate_fn", None)
    for _ in range(4):  # the Trainer's own wrapper removes columns around the user's collator
        if found is not None or collator is None:
            break
        names = ("processing_class", "tokenizer", "processor")
        found = next((one for name in names if (one := getattr(collator, name, None)) is not None), None)
        collator = getattr(collator, "data_collator", None)
    return found if callable(getattr(getattr(found, "tokenizer", found), "encode", None)) else None


def refusal(model: Any, trainer: TrainerSupport | None = None) -> str | None:
    """The sentence with which a model that cannot be asked is refused; `None` for one that can.

    Args:
        model: The model from `policy_of`. A model without the usual attributes is not refused.
        trainer: The trainer's row, if known.
    """
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False) is True:
        return ENCODER_DECODER.format(model=type(model).__name__)
    head, can_generate = getattr(model, "get_output_embeddings", None), getattr(model, "can_generate", None)
    # Each of the two alone is wrong for some remote code, which names its head otherwise or has no generation mixin.
    headless = callable(head) and callable(can_generate) and head() is None and not can_generate()
    if headless or (trainer is not None and not trainer.attaches):
        return NO_LANGUAGE_HEAD.format(model=type(model).__name__)
    return None
