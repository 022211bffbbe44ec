"""Puts back what a forward leaves on modules beside its output: buffers, tensors, plain attributes.

A forward may replace a buffer (rotary frequencies for another length), write into it (running statistics), let it grow,
add one, or note something for the next forward in a plain attribute (position offsets of multimodal models, counters,
lists). Training's next forward would begin from what an observation has left there.

Small tensors are copied. Those that are too large to be copied at every observation (masks, weights of quantised
layers, which are buffers) are watched: torch counts writes into a tensor. At the first observation they are copied to
the host if there is room, so tensors that a forward writes into are found and put back; from then on only these are
copied. A tensor that is first written into at a later observation cannot be put back: the model is not asked again.
"""

import os
from collections import OrderedDict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from driftwatch.errors import ProbeError
from driftwatch.host.sharding import is_fsdp2

# Tensors of up to this many elements are copied at every observation (rotary frequencies have a few hundred,
# BatchNorm's statistics a few thousand) …
SMALL = 65_536
# … and so are larger ones, smallest first, up to this share of the model's weights: masks, tables of positions.
_SHARE_OF_MODEL = 1 / 64
# Share of the host's free memory that the copies of the first observation may take.
_SHARE_OF_HOST = 1 / 4
_CONTAINERS = (list, dict, set, OrderedDict, deque)
# Containers with more entries than this are data, not notes.
_LONG = 10_000
_MISSING = object()

# What is known about tensors that are too large to be copied each time: "steady", "written" or "lost".
_known: Any = WeakTensorKeyDictionary()


@contextmanager
def kept_buffers(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Put back buffers, however a forward changes them: their values, shapes and types, and the set of them.

    Raises:
        ProbeError: A forward has written into a tensor that could not be copied, now or at an earlier observation.
    """
    found = [(module._buffers, dict(module._buffers)) for module in modules if module._buffers]
    without = [module._buffers for module in modules if not module._buffers]
    names = {
        id(tensor): f"{type(module).__name__}.{name}"
        for module in modules
        for name, tensor in module._buffers.items()
        if tensor is not None
    }
    kept = _Tensors([t for _, before in found for t in before.values() if t is not None], _bytes(modules), names)
    try:
        yield
    finally:
        for contents, before in found:
            restore_dict(contents, before)
        for contents in without:
            contents.clear()
        kept.put_back()


@contextmanager
def kept_attributes(modules: Sequence[nn.Module], elsewhere: Collection[str] = ()) -> Iterator[None]:
    """Put back plain attributes of modules: what they refer to, what their lists and dicts hold, and their tensors.

    Parameters and submodules that a forward adds are removed, and those that it replaces come back, except in sharded
    models, whose forward replaces parameters on purpose.

    Args:
        modules: The model's modules.
        elsewhere: Names of attributes that other code puts back.
    """
    handled = {"_parameters", "_buffers", "_modules", *elsewhere}
    sharded, swaps = _replaces_parameters(modules), _keeps_views(modules)
    notes = [(vars(module), _notes(module, handled, swaps)) for module in modules if not _is_wrapper(module)]
    structure = [
        (contents, dict(contents))
        for module in modules
        if not sharded
        for contents in (module._parameters, module._modules)
    ]
    containers: list[tuple[Any, Any]] = []
    tensors: list[Tensor] = []
    for _, before in notes:
        for value in before.values():
            if isinstance(value, Tensor):
                tensors.append(value)
            elif type(value) in _CONTAINERS and len(value) <= _LONG:
                containers.append((value, value.copy()))
                inside = value.values() if isinstance(value, dict) else value
                tensors += [one for one in inside if isinstance(one, Tensor)]
    kept = _Tensors([t for t in tensors if not isinstance(t, nn.Parameter)], _bytes(modules), {})
    try:
        yield
    finally:
        for contents, before in structure:
            restore_dict(contents, before)
        for attributes, before in notes:
            for name in [name for name in attributes if name not in before and name not in handled]:
                if not (swaps and isinstance(attributes[name], Tensor)):
                    del attributes[name]
            for name, value in before.items():
                if attributes.get(name, _MISSING) is not value:
                    attributes[name] = value
        for container, before in containers:
            _refill(container, before)
        kept.put_back()


def restore_dict(contents: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Restore a dict in place and in its original order, if something changed."""
    same = len(contents) == len(before) and all(
        name == old and contents[name] is before[old] for name, old in zip(contents, before, strict=True)
    )
    if not same:
        contents.clear()
        contents.update(before)


def _notes(module: nn.Module, handled: Collection[str], without_tensors: bool) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if name not in handled and not (without_tensors and isinstance(value, Tensor))
    }


def _is_wrapper(module: nn.Module) -> bool:
    """Whether a module is an engine's wrapper, whose attributes are the engine's own state."""
    return type(module).__name__ in ("FullyShardedDataParallel", "DistributedDataParallel", "DeepSpeedEngine")


def _replaces_parameters(modules: Sequence[nn.Module]) -> bool:
    """Whether a forward replaces parameters on purpose, under FSDP or ZeRO-3."""
    return _keeps_views(modules) or any(is_fsdp2(module) for module in modules)


def _keeps_views(modules: Sequence[nn.Module]) -> bool:
    """Whether an engine (FSDP1, ZeRO-3) keeps views of gathered weights as attributes of modules."""
    return any(
        type(module).__name__ == "FullyShardedDataParallel"
        or any(hasattr(parameter, "ds_id") for parameter in module._parameters.values())
        for module in modules
    )


def _refill(container: Any, before: Any) -> None:
    """Restore a container in place, since others may hold the same one."""
    if isinstance(container, dict):
        restore_dict(container, before)
    elif isinstance(container, set):
        if container != before:
            container.clear()
            container.update(before)
    elif len(container) != len(before) or any(a is not b for a, b in zip(container, before, strict=True)):
        container.clear()
        container.extend(before)


class _Tensors:
    """Tensors, each once, with what is needed to put them back as they were."""

    def __init__(self, tensors: Sequence[Tensor], model_bytes: int, names: dict[int, str]) -> None:
        once = {id(tensor): tensor for tensor in tensors if tensor.device.type != "meta"}
        self._names = names
        self._kept: list[_Kept] = []
        room, host = int(model_bytes * _SHARE_OF_MODEL), _free_host_bytes() * _SHARE_OF_HOST
        for tensor in sorted(once.values(), key=lambda tensor: tensor.numel()):
            size, state = tensor.numel() * tensor.element_size(), _known.get(tensor)
            if state == "lost":
                raise ProbeError(self._sentence(tensor))
            copy = None
            if tensor.numel() <= SMALL or size <= room or state == "written":
                room -= size if tensor.numel() > SMALL else 0
                copy = tensor.detach().clone()
            elif state is None and size <= host:
                host -= size
                copy = tensor.detach().to("cpu", copy=True)
            self._kept.append(_Kept(tensor, copy))

    def put_back(self) -> None:
        """Put back all tensors that can be; then raise if there is one that cannot.

        Raises:
            ProbeError: A tensor was written into that could not be copied before.
        """
        lost = []
        with torch.no_grad():
            for kept in self._kept:
                changed, restored = kept.put_back()
                if kept.tensor.numel() > SMALL:
                    _known[kept.tensor] = "lost" if not restored else ("written" if changed else _steady(kept.tensor))
                if not restored:
                    lost.append(kept.tensor)
        if lost:
            raise ProbeError(self._sentence(lost[0]))

    def _sentence(self, tensor: Tensor) -> str:
        name = self._names.get(id(tensor), "a tensor")
        return (
            f"a forward pass writes into {name} {tuple(tensor.shape)}, which is too large to be copied before each "
            "observation, so it could not be put back; this model is not asked again."
        )


def _steady(tensor: Tensor) -> str:
    """The state after a forward that wrote nothing; a tensor that was ever written into does not become "steady"."""
    return str(_known.get(tensor) or "steady")


class _Kept:
    """One tensor: its shape and storage, how often it was written into, and a copy if there is one."""

    def __init__(self, tensor: Tensor, copy: Tensor | None) -> None:
        self.tensor, self.copy = tensor, copy
        self.alias = tensor.detach()
        self.place, self.version = _place(tensor), _version(tensor)

    def put_back(self) -> tuple[bool, bool]:
        """Put the tensor back; tells whether it had changed, and whether it is now what it was."""
        tensor, changed = self.tensor, False
        if _place(tensor) != self.place:
            changed = True
            tensor.data = self.alias
        written = _version(tensor) != self.version
        if self.copy is None:
            return changed or written, not written
        # Values can change without torch's count (kernels, `.data`), so the values of a small tensor are compared.
        if written or (self.copy.device == tensor.device and not torch.equal(tensor, self.copy)):
            changed = True
            tensor.copy_(self.copy)
        return changed, True


def _place(tensor: Tensor) -> tuple[Any, ...]:
    try:
        storage = (tensor.data_ptr(), tensor.stride())
    except (RuntimeError, NotImplementedError):  # sparse tensors and tensors that wrap others have no single storage
        storage = (0, ())
    return (*storage, tuple(tensor.shape), tensor.dtype, tensor.device)


def _version(tensor: Tensor) -> int:
    """How often torch wrote into it; 0 for inference tensors, which have no count and cannot be trained with."""
    return 0 if tensor.is_inference() else int(tensor._version)


def _bytes(modules: Sequence[nn.Module]) -> int:
    return sum(p.numel() * p.element_size() for module in modules for p in module._parameters.values() if p is not None)


def _free_host_bytes() -> int:
    """Bytes of memory that the host has left; 0 if it does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0
