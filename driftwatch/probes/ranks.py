"""Several processes, one look: how ranks agree, and stay in step.

Rank 0 decides (`broadcast`); all ranks work, and then agree whether everybody succeeded (`together`). Under FSDP and
ZeRO-3 the forward of the model is collective, so all ranks make the same number of passes, and one that fails makes up
for those that it still owes before it says so (`in_step`): the others would wait for it for ever.

What cannot be made up for: a failure in the middle of one forward pass of FSDP1 or ZeRO-3, whose remaining collectives
are reachable by running that forward only; and one of the collectives itself. Training has the same limit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch import nn

from driftwatch.errors import ConfigError, ProbeError
from driftwatch.guard import is_fsdp2, reset_forward

T = TypeVar("T")


def num_ranks() -> int:
    """Processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process among them; 0 is the one that decides, reads and writes."""
    return dist.get_rank() if num_ranks() > 1 else 0


def broadcast(value: T) -> T:
    """Rank 0's value, on every rank; anything that pickles. What the other ranks pass is ignored."""
    if num_ranks() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=_device())
    return box[0]


def together(work: Callable[[], T], what: str = "a look") -> list[T]:
    """Runs `work` on every rank, and gives every rank the results of all, in the order of the ranks.

    Raises:
        ProbeError: It failed on some rank; then on every rank, with what went wrong where.
    """
    if num_ranks() == 1:
        return [work()]
    error: Exception | None = None
    found: tuple[str | None, T | None] = (None, None)
    try:
        found = None, work()
    except Exception as err:  # noqa: BLE001 - whatever it is, the other ranks must be told
        error, found = err, (f"{type(err).__name__}: {err}", None)
    everything: list[Any] = [None] * num_ranks()
    dist.all_gather_object(everything, found)
    if failed := [f"rank {index}: {text}" for index, (text, _) in enumerate(everything) if text is not None]:
        raise ProbeError(f"{what} was abandoned on all ranks, since it failed on {'; '.join(failed)}") from error
    return [result for _, result in everything]


def everywhere(work: Callable[[], T], what: str = "a look") -> T:
    """Runs `work` on every rank, and gives each its own result once all have succeeded; errors as in `together`."""
    result: list[T] = []
    together(lambda: result.append(work()), what)
    return result[0]


def on_first(work: Callable[[], T], what: str = "a look") -> T:
    """Runs `work` on rank 0 alone, and gives every rank its result; errors as in `together`."""
    if num_ranks() == 1:
        return work()
    return together(lambda: work() if rank() == 0 else None, what)[0]  # type: ignore[return-value] # rank 0's is a T


def same_everywhere(digest: str, what: str) -> None:
    """Checks that all ranks hold the same thing.

    Raises:
        ConfigError: They do not; on every rank.
    """
    found = together(lambda: digest, what)
    if len(set(found)) > 1:
        listed = ", ".join(f"{digest} on rank {index}" for index, digest in enumerate(found))
        raise ConfigError(
            f"{what} must be the same on every rank; found {listed}. Give every rank the same code, model and settings."
        )


def _device() -> torch.device:
    """Where the process group's collectives want their tensors."""
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


@contextmanager
def in_step(model: Any, num_forwards: int) -> Iterator[None]:
    """Sees to it that this rank makes exactly `num_forwards` forward passes, also when the work inside raises.

    Between passes no parameter of FSDP2 stays gathered, so that every pass begins with the same collectives wherever an
    earlier one has stopped.

    Args:
        model: The model that `undisturbed` yields; inside the guard.
        num_forwards: The number that all ranks make.

    Raises:
        ProbeError: The work made another number of passes without raising: a bug that would hang the next look.
    """
    if num_ranks() == 1 or not is_sharded(model):
        yield
        return
    passes = _Passes(model)
    with passes.watched():
        try:
            yield
        except Exception:
            passes.make_up(num_forwards)
            raise
    if passes.done != num_forwards:
        raise ProbeError(f"expected {num_forwards} forward passes on each rank, and this one made {passes.done}")


def is_sharded(model: Any) -> bool:
    """Whether a forward of this model is collective: FSDP2, FSDP1 or ZeRO-3."""
    return bool(_units(model)) or _is_fsdp1_or_zero3(model)


def _is_fsdp1_or_zero3(model: nn.Module) -> bool:
    names = {base.__name__ for module in model.modules() for base in type(module).__mro__}
    return "FullyShardedDataParallel" in names or any(hasattr(p, "ds_id") for p in model.parameters())


def _units(model: nn.Module) -> list[list[Any]]:
    """Modules that FSDP2 gathers together, in the order of their registration; mostly one a unit."""
    units: dict[int, list[Any]] = {}
    for module in model.modules():
        if is_fsdp2(module):
            units.setdefault(id(module._get_fsdp_state()), []).append(module)  # type: ignore[operator] # of FSDPModule
    return list(units.values())


class _Passes:
    """Counts the forward passes of a sharded model, and makes up for those that did not happen."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.done = 0
        self._units = _units(model)
        self._order = list(range(len(self._units)))  # in which they are gathered; until seen, as registered
        self._entered: list[int] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hooks that see units begin and the model end its forward."""
        # Before FSDP's own hooks: a unit counts as entered once it may have been gathered.
        handles = [
            module.register_forward_pre_hook(lambda *_, index=index: self._enter(index), prepend=True)
            for index, unit in enumerate(self._units)
            for module in unit
        ]
        handles.append(self.model.register_forward_hook(lambda *_: self._finish()))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, index: int) -> None:
        if index not in self._entered:
            self._entered.append(index)

    def _finish(self) -> None:
        if len(self._entered) == len(self._units):
            self._order = self._entered
        self._entered = []
        self.done += 1
        for unit in self._units:
            unit[0].reshard()

    def make_up(self, num_forwards: int) -> None:
        """Takes part in the collectives of the passes that are missing; computes nothing that anybody reads."""
        if self._entered:
            self._complete()
        while self.done < num_forwards:
            self._dummy()

    def _dummy(self) -> None:
        try:
            self.model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=next(self.model.parameters()).device))
        except Exception:
            # The fault is still there. Without FSDP2's explicit gathering there is no other way to go on.
            if not self._units:
                raise
            self._complete()

    def _complete(self) -> None:
        """Ends a forward pass that stopped half-way: gathers what it would have gathered, and lets go of it."""
        if not self._units:
            raise ProbeError(
                "a forward pass of a model sharded by FSDP1 or ZeRO-3 failed half-way; the other ranks wait for it "
                "until the time-out of their process group."
            )
        reset_forward(self._units[0][0])
        for index in self._order:
            if index not in self._entered:
                self._units[index][0].unshard()
                self._units[index][0].reshard()
        self._entered = []
        self.done += 1
