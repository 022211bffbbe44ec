"""Follows the collectives inside a forward pass of a sharded model, and can complete them without the pass.

The code uses FSDP2's public interface as far as there is one. The rest, and all of FSDP1 (which no longer changes) and
DeepSpeed, follows the sources of torch 2.13 and DeepSpeed 0.19, and is proved by the tests that let a rank fail.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from torch import nn
from torch.utils.hooks import RemovableHandle

from driftwatch.errors import ProbeError


class Collectives(Protocol):
    """Follows a forward pass, and can end one that stopped half-way."""

    def watch(self) -> list[RemovableHandle]:
        """Begins to follow forward passes, until the handles are removed."""
        ...

    def end(self) -> None:
        """Called when a pass has come to its end."""
        ...

    def complete(self) -> None:
        """Does the remaining collectives of a pass that stopped half-way, and cleans up after it."""
        ...


def collectives_of(model: nn.Module) -> Collectives | None:
    """The collectives of a model under FSDP2, FSDP1 or ZeRO-3; `None` if a forward pass has none."""
    if units := _units(model):
        return _Gathering(units)
    if any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        return _Hooks(model)
    return None


def is_tensor_parallel(model: nn.Module) -> bool:
    """Whether layers are split over several ranks, which must all be given the same input."""
    if any(isinstance(size := getattr(module, "tp_size", None), int) and size > 1 for module in model.modules()):
        return True
    if _units(model):
        return False  # it is split by FSDP2, which gives every rank whole layers
    placements = (getattr(parameter, "placements", ()) for parameter in model.parameters())
    return any(placement.is_shard() for found in placements for placement in found)


# FSDP has units, each of which one collective gathers.


class _Gathering:
    """Gathers the units that a broken pass has not reached.

    Nothing stays gathered between passes, so each pass begins with the same collectives, wherever an earlier one
    stopped.
    """

    def __init__(self, units: Sequence["_Fsdp2 | _Fsdp1"]) -> None:
        self._units = units
        self._order = list(range(len(units)))  # the order of gathering; until a pass shows it, that of registration
        self._entered: list[int] = []

    def watch(self) -> list[RemovableHandle]:
        # These come before FSDP's own hooks, so a unit counts as entered once it may have been gathered.
        return [
            module.register_forward_pre_hook(partial(self._enter, index), prepend=True)
            for index, unit in enumerate(self._units)
            for module in unit.modules
        ]

    def _enter(self, index: int, *_: object) -> None:
        if index not in self._entered:
            self._entered.append(index)

    def end(self) -> None:
        if len(self._entered) == len(self._units):
            self._order = self._entered
        self._entered = []
        for unit in self._units:
            unit.release()

    def complete(self) -> None:
        # A unit that was gathered ahead of its turn (prefetching) has had its collective, too.
        over = {index for index, unit in enumerate(self._units) if index in self._entered or unit.is_gathered}
        for unit in self._units:
            unit.reset(self._units[0].modules[0])
        for index in self._order:
            if index not in over:
                self._units[index].gather()
                self._units[index].release()
        self._entered = []


def _units(model: nn.Module) -> "list[_Fsdp2 | _Fsdp1]":
    """FSDP's units of a model, outermost first, in the order of their registration."""
    groups: dict[int, list[Any]] = {}
    fsdp1: list[_Fsdp2 | _Fsdp1] = []
    for module in model.modules():
        if is_fsdp2(module):
            groups.setdefault(id(module._get_fsdp_state()), []).append(module)  # type: ignore[operator] # of FSDPModule
        elif any(base.__name__ == "FullyShardedDataParallel" for base in type(module).__mro__):
            fsdp1.append(_Fsdp1(module))
    return [*[_Fsdp2(modules) for modules in groups.values()], *fsdp1]


class _Fsdp2:
    """The modules of one `fully_shard` call; the first of them that runs gathers all."""

    def __init__(self, modules: list[Any]) -> None:
        self.modules = modules

    @property
    def is_gathered(self) -> bool:
        groups = getattr(self.modules[0]._get_fsdp_state(), "_fsdp_param_groups", [])
        return any(group.is_unsharded or group._all_gather_result is not None for group in groups)

    def gather(self) -> None:
        self.modules[0].unshard()

    def release(self) -> None:
        self.modules[0].reshard()

    def reset(self, root: Any) -> None:
        if self.modules[0] is root:  # resetting the root resets all
            reset_forward(root)


class _Fsdp1:
    """One FullyShardedDataParallel."""

    def __init__(self, module: Any) -> None:
        self.modules = [module]
        self._module = module

    @property
    def is_gathered(self) -> bool:
        handle = self._module._handle
        return handle is not None and not handle.needs_unshard()

    def gather(self) -> None:
        from torch.distributed.fsdp._runtime_utils import _unshard

        module = self._module
        _unshard(module, module._handle, module._unshard_stream, module._pre_unshard_stream)

    def release(self) -> None:
        from torch.distributed.fsdp._runtime_utils import _reshard

        if self.is_gathered:
            _reshard(self._module, self._module._handle, True)

    def reset(self, root: Any) -> None:
        from torch.distributed.fsdp._common_utils import HandleTrainingState, TrainingState
        from torch.distributed.fsdp._runtime_utils import _lazy_init

        _lazy_init(root, root)  # makes streams and the like, as the first forward would have done
        self._module.training_state = TrainingState.IDLE
        if self._module._handle is not None:
            self._module._handle._training_state = HandleTrainingState.IDLE
        self.release()


def is_fsdp2(module: object) -> bool:
    """Whether `fully_shard` was applied to this module itself, by the class's name, as its place in torch has moved."""
    return any(base.__name__ == "FSDPModule" for base in type(module).__mro__)


def reset_forward(root: Any) -> None:
    """Makes a model sharded by FSDP2 usable again after an exception inside its forward, without communication.

    Args:
        root: The outermost sharded module.
    """
    if hasattr(root, "reset_iter_state"):
        root.reset_iter_state()
        return
    # torch before 2.13 has no such method; this is the part of it that concerns a forward without gradients.
    for module in root.modules():
        if is_fsdp2(module):
            state = module._get_fsdp_state()
            idle = type(state._training_state).IDLE
            state._training_state = idle
            state._state_ctx.iter_forward_root = None
            if (group := state._fsdp_param_group) is not None:
                group._training_state = idle
            module.reshard()


# Under ZeRO-3, DeepSpeed has hooks before and after every module.

# For each model, the names of its modules in the order in which a whole pass begins (True) and ends (False) them.
_whole_passes: WeakKeyDictionary[nn.Module, list[tuple[str, bool]]] = WeakKeyDictionary()


class _Hooks:
    """Calls the hooks that a broken pass has not reached, in the order of an earlier whole pass.

    Which parameters the hooks gather, and which ahead of time, depends only on that order.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modules = dict(model.named_modules())
        self._seen: list[tuple[str, bool]] = []

    def watch(self) -> list[RemovableHandle]:
        handles = []
        for name, module in self._modules.items():
            begins, ends = partial(self._see, (name, True)), partial(self._see, (name, False))
            handles.append(module.register_forward_pre_hook(begins, prepend=True))
            handles.append(module.register_forward_hook(ends, prepend=True))
        return handles

    def _see(self, event: tuple[str, bool], *_: object) -> None:
        self._seen.append(event)

    def end(self) -> None:
        _whole_passes[self._model] = self._seen
        self._seen = []

    def complete(self) -> None:
        seen, self._seen = self._seen, []
        whole = _whole_passes.get(self._model, [])
        if whole[: len(seen)] != seen:
            raise ProbeError(
                "a forward pass under ZeRO-3 failed half-way, and none before it went the same way to its end; the "
                "other ranks wait for it until the time-out of their process group."
            )
        for name, begins in whole[len(seen) :]:
            module = self._modules[name]
            for hook in (module._forward_pre_hooks if begins else module._forward_hooks).copy().values():
                if getattr(hook, "__module__", "").startswith("deepspeed"):
                    hook(module, ()) if begins else hook(module, (), None)
