"""Looks inside wrappers (compile, DDP, FSDP, PEFT) for the model, and for the tokens that end its texts."""

from typing import Any


def unwrapped(model: Any) -> Any:
    """The transformers model inside its wrappers. Read its attributes, but do not ask it for replies."""
    while True:
        inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if inner is None and hasattr(model, "get_base_model"):
            inner = model.get_base_model()
        if inner is None or inner is model:
            return model
        model = inner


def model_stop_ids(model: Any) -> set[int]:
    """The end-of-text tokens that a model's config and generation config name."""
    inner = unwrapped(model)
    found: set[int] = set()
    for config in (getattr(inner, "config", None), getattr(inner, "generation_config", None)):
        ids = getattr(config, "eos_token_id", None)
        found |= {ids} if isinstance(ids, int) else set(ids or ())
    return found
