"""Reference: the SFT model inside a PEFT model, reached by switching adapters instead of loading a second one.

With a fresh LoRA the base weights are the SFT model, so adapters off gives it back. Where training continues an SFT
adapter, TRL keeps a frozen copy of it under the name "ref". Adapters off is *not* the SFT model when biases are
trained, when an initialisation changed the base weights (PiSSA and its like), or when an adapter is continued without
that copy; whoever uses a reference therefore compares it with the start of training before believing it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

TRL_REFERENCE = "ref"  # the name that TRL's trainers give to the frozen copy of a continued adapter


@dataclass(frozen=True, slots=True)
class Reference:
    """How the SFT model is reached.

    Attributes:
        adapter: Name of the frozen adapter that is the SFT model; `None` for the base weights without adapters.
    """

    adapter: str | None

    @property
    def description(self) -> str:
        """For people and for the baseline's notes."""
        return f'the frozen adapter "{self.adapter}"' if self.adapter else "the base weights without adapters"

    @contextmanager
    def active(self, model: Any) -> Iterator[Any]:
        """Make `model` the SFT model inside the block.

        Inside `guard.undisturbed` only: PEFT flips `requires_grad` along with the adapters, and the guard puts it back.
        """
        peft_model = find_peft(model)
        assert peft_model is not None, "a reference is made from a PEFT model only"
        if self.adapter is None:
            with peft_model.disable_adapter():
                yield model
            return
        previous = peft_model.active_adapter
        try:
            peft_model.set_adapter(self.adapter)
            yield model
        finally:
            peft_model.set_adapter(previous)


def find_reference(model: Any) -> Reference | str:
    """The SFT model inside a model, or the reason why there is none."""
    peft_model = find_peft(model)
    if peft_model is None:
        return "the model has no adapters to switch off"
    if TRL_REFERENCE in peft_model.peft_config:
        return Reference(TRL_REFERENCE)
    active = peft_model.active_adapters if hasattr(peft_model, "active_adapters") else [peft_model.active_adapter]
    for name in active:
        bias = getattr(peft_model.peft_config[name], "bias", "none")
        if bias != "none":
            return f'the adapter "{name}" trains biases (bias="{bias}"), which stay when it is switched off'
    return Reference(None)


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
