"""Switches off what a model's forward computes beside logits, for the screen and the replies.

Training may want more from a forward than logits. A mixture of experts returns its router's logits and computes a
balancing loss from them, which fails with any masks but those of training; attentions and hidden states cost memory.
Some models return a tuple unless they are told otherwise. An observation needs only the logits.
"""

import inspect
import logging
from typing import Any

import torch

from driftwatch.host.configs import all_configs, setting

logger = logging.getLogger(__name__)

# Outputs beside the logits that a config can turn on for every forward (transformers 4.57 to 5.24); those that a
# model's own forward names on top of them are found by the prefix.
_OUTPUTS = ("output_router_logits", "output_attentions", "output_hidden_states")
_PREFIX = "output_"


@torch.no_grad()
def switches(model: Any) -> dict[str, Any]:
    """Arguments for every call of a model that make it return logits and nothing else. Call it inside the guard.

    Only what this model's config turns on is switched off. Each argument is tried on two tokens first, and left out if
    the forward refuses it.

    Args:
        model: A causal language model, plain or wrapped.

    Returns:
        Arguments by name, in a fixed order; the same on every rank of a training.
    """
    wanted: dict[str, Any] = {"return_dict": True, **dict.fromkeys(_turned_on(model), False)}
    refusal = _refusal(model, wanted)
    if refusal is None:
        return wanted
    # A model that cannot be called at all fails with a better reason when it is first asked.
    if (without := _refusal(model, {})) is not None:
        logger.debug("no switch could be tried: %r", without)
        return wanted
    accepted: dict[str, Any] = {}
    for name, value in wanted.items():
        refusal = _refusal(model, {**accepted, name: value})
        if refusal is None:
            accepted[name] = value
        else:
            logger.debug("%s refuses %s=%s: %r", type(model).__name__, name, value, refusal)
    return accepted


def logits_of(output: Any) -> Any:
    """The logits of a forward's output, which is an object or, as trainers accept, a plain dict; `None` if none."""
    # transformers' outputs are dicts, too; their attribute counts, since a field that is removed stays among the items.
    if isinstance(output, dict) and not hasattr(output, "logits"):
        return output.get("logits")
    return getattr(output, "logits", None)


def _turned_on(model: Any) -> list[str]:
    """Outputs beside the logits that the config turns on, in any of its parts."""
    configs = all_configs(model)
    own = [name for name in parameters_of(model) if name.startswith(_PREFIX) and name not in _OUTPUTS]
    return [name for name in (*_OUTPUTS, *own) if any(setting(config, name) is True for config in configs)]


def parameters_of(model: Any) -> list[str]:
    """Names of the arguments of the innermost forward; only a hint, since `**kwargs` accept what is not named."""
    for _ in range(8):  # nobody trains with more wrappers in one another than this
        inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if inner is None and hasattr(model, "get_base_model"):
            inner = model.get_base_model()
        if inner is None or inner is model:
            break
        model = inner
    try:
        return list(inspect.signature(model.forward).parameters)
    except (TypeError, ValueError):
        return []


def _refusal(model: Any, arguments: dict[str, Any]) -> Exception | None:
    """The error of a call with some arguments; `None` if the call succeeds."""
    weight = next(model.parameters())
    embeddings = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    device = getattr(embeddings, "weight", weight).device
    # The first id twice: every vocabulary has it, and the same token twice does not begin an image.
    ids_BT = torch.zeros(1, 2, dtype=torch.long, device=device)
    try:
        model(input_ids=ids_BT, **arguments)
    except Exception as err:  # noqa: BLE001 - a forward may refuse an argument with any error
        return err
    return None


def vocabulary_sizes(model: Any) -> tuple[int, ...]:
    """How many logits a position may have: rows of the output embeddings, or of the vocabulary that a config names.

    It is empty if nothing tells.
    """
    found = {setting(config, "vocab_size") for config in all_configs(model)}
    for embeddings in (_embeddings(model, "get_output_embeddings"), _embeddings(model, "get_input_embeddings")):
        weight = getattr(embeddings, "weight", None)
        # ZeRO-3 empties a parameter between its uses and keeps its shape beside it; a quantised one is packed.
        shape: Any = getattr(weight, "ds_shape", None) or getattr(weight, "shape", ())
        found |= {getattr(embeddings, "out_features", None), getattr(embeddings, "num_embeddings", None)}
        found |= {shape[0]} if len(shape) == 2 and getattr(weight, "is_floating_point", bool)() else set()
    return tuple(sorted(size for size in found if isinstance(size, int) and size > 1))


def _embeddings(model: Any, getter: str) -> Any:
    try:
        return getattr(model, getter)()
    except Exception:  # noqa: BLE001 - a user's own model may not have such a method, or not implement it
        return None
