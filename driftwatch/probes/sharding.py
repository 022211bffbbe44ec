"""Parts of a sharded model that are gathered at once, and how to gather and release one by hand.

Written against what FSDP2 publishes, where it does; the rest, and FSDP1, which changes no more, is read from torch 2.13
and proved by the tests that let a rank fail.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import nn

from driftwatch.guard import is_fsdp2, reset_forward


class Unit(Protocol):
    """Parameters that one collective gathers.

    Attributes:
        modules: Those whose forward gathers them; the first call of any of them does.
    """

    modules: list[Any]

    @property
    def is_gathered(self) -> bool:
        """Whether its collective has been started since the last release."""
        ...

    def gather(self) -> None:
        """The collective of its forward."""
        ...

    def release(self) -> None:
        """Frees what was gathered; no communication."""
        ...


def sharded_units(model: nn.Module) -> list[Unit]:
    """The units of a model sharded by FSDP2 or FSDP1, outermost first, in the order of their registration."""
    groups: dict[int, list[Any]] = {}
    fsdp1: list[Unit] = []
    for module in model.modules():
        if is_fsdp2(module):
            groups.setdefault(id(module._get_fsdp_state()), []).append(module)  # type: ignore[operator] # of FSDPModule
        elif type(module).__name__ == "FullyShardedDataParallel":
            fsdp1.append(_Fsdp1(module))
    return [*[_Fsdp2(modules) for modules in groups.values()], *fsdp1]


def reset(units: Sequence[Unit]) -> None:
    """Makes a model usable again after an exception inside its forward, nothing gathered; no communication."""
    if isinstance(root := units[0], _Fsdp2):
        reset_forward(root.modules[0])
        return
    for unit in units:
        if isinstance(unit, _Fsdp1):
            unit.reset(root.modules[0])


class _Fsdp2:
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


class _Fsdp1:
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

        if self._module._handle is not None and self.is_gathered:
            _reshard(self._module, self._module._handle, True)

    def reset(self, root: Any) -> None:
        from torch.distributed.fsdp._common_utils import HandleTrainingState, TrainingState
        from torch.distributed.fsdp._runtime_utils import _lazy_init

        _lazy_init(root, root)  # streams and the like, which the first forward would have made
        self._module.training_state = TrainingState.IDLE
        if self._module._handle is not None:
            self._module._handle._training_state = HandleTrainingState.IDLE
        self.release()
