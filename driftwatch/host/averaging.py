"""Makes optimizers that train one point and evaluate another (schedule-free and similar) show the latter.

Such optimizers have their own modes, `eval()` and `train()`, and no common contract. Some fail before their first step,
since there is no average yet; some do not come back to the weights that they left. So the two are called only after a
trial on a copy of one parameter with its state.
"""

import copy
import logging
import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

logger = logging.getLogger(__name__)

# The names under which wrappers keep the optimizer that they wrap: accelerate, Lightning, lookahead and the like.
_WRAPPED = ("optimizer", "_optimizer", "base_optimizer", "inner_optimizer", "optim", "optimizers")
# Going there and back rounds by a few units in the last place of the parameter, or of the point it is mixed with.
_ROUNDING = 16.0
_told: weakref.WeakSet[Any] = weakref.WeakSet()  # optimizers for which the warning was logged


@contextmanager
def averaged_weights(optimizer: Any) -> Iterator[None]:
    """Show the weights that will be saved inside the block; afterwards the optimizer trains on as if nothing happened.

    If an optimizer has modes that cannot be used here, its weights are seen as they train, and a warning says so once.

    Args:
        optimizer: The optimizer in use, wrapped or not; `None` if unknown.
    """
    with ExitStack() as stack:
        for inner in with_modes(optimizer):
            if any(group.get("train_mode", True) for group in inner.param_groups) and _comes_back(inner):
                stack.enter_context(_in_eval_mode(inner))
        yield


def with_modes(optimizer: Any) -> list[Any]:
    """The optimizers inside `optimizer` that have modes of their own; a wrapper's modes alone do not count."""
    if optimizer is None:
        return []
    inside = [found for name in _WRAPPED if (found := vars(optimizer).get(name)) is not None]
    parts = [part for found in inside for part in (found if isinstance(found, (list, tuple)) else [found])]
    parts = [part for part in parts if hasattr(part, "param_groups") and part is not optimizer]
    if parts:
        return [found for part in parts for found in with_modes(part)]
    has_modes = callable(getattr(optimizer, "eval", None)) and callable(getattr(optimizer, "train", None))
    return [optimizer] if has_modes and hasattr(optimizer, "param_groups") else []


@contextmanager
def _in_eval_mode(inner: Any) -> Iterator[None]:
    try:
        inner.eval()
        yield
    finally:
        inner.train()


def _comes_back(inner: Any) -> bool:
    """Whether `eval()` and then `train()` lead back to the same weights now, tried on a copy of one parameter."""
    try:
        with torch.no_grad():
            twin, parameter = _twin(inner)
            before, modes = parameter.clone(), _modes(twin)
            twin.eval()
            reach = max(float(parameter.abs().max()), float(before.abs().max()))
            twin.train()
            rounding = _ROUNDING * torch.finfo(parameter.dtype).eps * reach
            why = None
            if float((parameter - before).abs().max()) > rounding or _modes(twin) != modes:
                why = "they do not lead back to the weights that train"
    except Exception as err:  # noqa: BLE001 - another library's code; an observation without averages beats an ended training
        why = f"{type(err).__name__}: {err}"
    # Before the first step both points are the same, so there is nothing to say.
    if why is not None and inner.state and inner not in _told:
        _told.add(inner)
        logger.warning(
            "%s has modes for training and evaluation that cannot be used here (%s); observations see its weights as "
            "they train, and not the average that will be saved",
            type(inner).__name__,
            why,
        )
    return why is None


def _modes(optimizer: Any) -> list[Any]:
    return [group.get("train_mode") for group in optimizer.param_groups]


def _twin(inner: Any) -> tuple[Any, torch.Tensor]:
    """A copy of the optimizer that holds a copy of its smallest parameter and nothing else, and that parameter."""
    sizes = [
        (parameter.numel(), number, place)
        for number, group in enumerate(inner.param_groups)
        for place, parameter in enumerate(group["params"])
        if parameter.numel()
    ]
    _, number, place = min(sizes)
    original = inner.param_groups[number]["params"][place]
    parameter = original.detach().clone()
    twin = copy.copy(inner)
    twin.param_groups = [
        {**copy.deepcopy({k: v for k, v in group.items() if k != "params"}), "params": []}
        for group in inner.param_groups
    ]
    twin.param_groups[number]["params"] = [parameter]
    twin.state = defaultdict(dict)
    if original in inner.state:
        twin.state[parameter] = copy.deepcopy(inner.state[original])
    return twin, parameter
