"""Reference: the SFT model inside a PEFT model, reached by switching adapters instead of loading a second one.

With a fresh LoRA the base weights are the SFT model, so switching the adapters off gives it back. If training continues
an SFT adapter, TRL keeps a frozen copy of it under the name "ref". The model without adapters is *not* the SFT model
when biases are trained, when an initialisation changed the base weights (PiSSA and its like), or when an adapter is
continued without that copy. So a reference must be compared with the start of training before it is relied on.

Several adapters can be active at once, and each layer keeps its own list of them, which can differ from what PEFT says
about the whole model. So every layer gets back what it held, and not just the name of the active adapter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from driftwatch.errors import Absent

TRL_REFERENCE = "ref"  # the name that TRL's trainers give to the frozen copy of a continued adapter
# Attributes in which PEFT's layers, tuners and wrappers keep which adapters are active.
_SWITCHES = ("_active_adapter", "active_adapter", "_disable_adapters", "_adapters_disabled")

NATIVE = Absent(
    "the model's adapters were put on it by transformers (add_adapter, or from_pretrained of an adapter's folder) and "
    "not by peft.get_peft_model, so the SFT model below them is not looked for"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """The way to reach the SFT model inside a PEFT model.

    Attributes:
        adapter: Name of the frozen adapter that is the SFT model; `None` stands for the base weights without adapters.
    """

    adapter: str | None

    @property
    def description(self) -> str:
        """The reference in words, for messages and the baseline's notes."""
        return f'the frozen adapter "{self.adapter}"' if self.adapter else "the base weights without adapters"

    @contextmanager
    def active(self, model: Any) -> Iterator[Any]:
        """Make `model` the SFT model inside the block.

        Use it only inside `guard.undisturbed`: PEFT changes `requires_grad` along with the adapters, and the guard
        puts it back.
        """
        peft_model = find_peft(model)
        assert peft_model is not None, "a reference is made from a PEFT model only"
        with _put_back(peft_model):
            if self.adapter is not None:
                peft_model.set_adapter(self.adapter)
                yield model
            else:
                with peft_model.disable_adapter():
                    yield model


def find_reference(model: Any) -> Reference | Absent:
    """The SFT model inside a model, or the reason why there is none."""
    peft_model = find_peft(model)
    if peft_model is None:
        return NATIVE if has_native_adapters(model) else Absent("the model has no adapters to switch off")
    if TRL_REFERENCE in peft_model.peft_config:
        return Reference(TRL_REFERENCE)
    active = peft_model.active_adapters if hasattr(peft_model, "active_adapters") else [peft_model.active_adapter]
    for name in active:
        bias = getattr(peft_model.peft_config[name], "bias", "none")
        if bias != "none":
            return Absent(f'the adapter "{name}" trains biases (bias="{bias}"), which stay when it is switched off')
    return Reference(None)


def has_learned_nothing(model: Any) -> bool:
    """Whether the weights of a model's active adapters show that these change nothing, up to rounding.

    True only in a single process, for LoRA adapters whose second factor is 0 throughout; anything else that an adapter
    brings along may have learned something. DoRA scales each row by its magnitude over its norm. Before the first
    update that is 1, yet the quotient is rounded, and in bfloat16 the model with adapters then differs from the one
    without them by more than other kernels would cause.
    """
    import torch

    from driftwatch.host.ranks import num_ranks  # loads torch, which a check of settings does without

    peft_model = find_peft(model)
    if peft_model is None or num_ranks() > 1:  # ranks that hold different parts of the weights could disagree
        return False
    active = list(getattr(peft_model, "active_adapters", ()))
    for name in active:
        config = peft_model.peft_config[name]
        if str(getattr(config.peft_type, "value", config.peft_type)) != "LORA":
            return False
        if config.modules_to_save or getattr(config, "trainable_token_indices", None):
            return False
    layers = [module for module in peft_model.modules() if hasattr(module, "lora_B") and hasattr(module, "base_layer")]
    with torch.no_grad():
        return bool(layers) and all(_is_identity(layer, name) for layer in layers for name in active)


def _is_identity(layer: Any, name: str) -> bool:
    factors = [held[name] for held in (layer.lora_B, layer.lora_embedding_B) if name in held]
    weights = [getattr(factor, "weight", factor) for factor in factors]
    if any(bool(weight.ne(0).any()) for weight in weights):
        return False
    magnitudes = getattr(layer, "lora_magnitude_vector", {})
    if name not in magnitudes:
        return True
    weight, magnitude = layer.get_base_layer().weight, magnitudes[name].weight
    if not weight.is_floating_point() or weight.dim() != 2:
        return False
    # For embeddings the norm is taken over the other axis, as in PEFT.
    norm = weight.detach().float().norm(dim=1 if magnitude.numel() == weight.shape[0] else 0)
    eps = max(_eps(weight), _eps(magnitude))
    return bool(((magnitude.detach().float().flatten() - norm).abs() <= eps * norm).all())


def _eps(weight: Any) -> float:
    """The relative rounding error of a tensor's dtype."""
    import torch

    return torch.finfo(weight.dtype).eps


@contextmanager
def _put_back(peft_model: Any) -> Iterator[None]:
    """Leave every switch of every module as it was."""
    held = [(vars(module), _switches(module)) for module in peft_model.modules()]
    try:
        yield
    finally:
        for attributes, before in held:
            for name in _SWITCHES:
                if name in before:
                    attributes[name] = before[name]
                else:  # the class's own default
                    attributes.pop(name, None)


def _switches(module: Any) -> dict[str, Any]:
    kept = {name: vars(module)[name] for name in _SWITCHES if name in vars(module)}
    return {name: list(value) if isinstance(value, list) else value for name, value in kept.items()}


def has_native_adapters(model: Any) -> bool:
    """Whether transformers itself has put adapters on a model, without a PEFT wrapper that could switch them off."""
    return any(getattr(module, "_hf_peft_config_loaded", False) is True for module in model.modules())


def find_peft(model: Any) -> Any | None:
    """The PEFT model inside wrappers (DDP, torch.compile), or `None`."""
    for _ in range(8):
        if hasattr(model, "peft_config") and hasattr(model, "disable_adapter"):
            return model
        inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if inner is None:
            return None
        model = inner
    return None
