"""Equally many forward passes on every rank of a sharded model, whatever happens to one of them.

Under FSDP and ZeRO-3 a forward pass is a series of collectives. A rank that stops early would leave the others waiting
in the next one; so before it says that it failed, it takes part in those that it still owes.

What cannot be made up for: a failure in the middle of a forward pass of ZeRO-3, whose remaining collectives are
reachable by running that very forward only; and a failure of one of the collectives. Training has the same limit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from driftwatch.errors import ProbeError
from driftwatch.probes.ranks import num_ranks
from driftwatch.probes.sharding import reset, sharded_units


@contextmanager
def in_step(model: Any, num_forwards: int) -> Iterator[None]:
    """Sees to it that this rank makes exactly `num_forwards` forward passes, also when the work inside raises.

    Between passes no parameters stay gathered, so that each pass begins with the same collectives, wherever an earlier
    one has stopped.

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
    return bool(sharded_units(model)) or any(hasattr(parameter, "ds_id") for parameter in model.parameters())


class _Passes:
    """Counts the forward passes of a sharded model, and makes up for those that did not happen."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.done = 0
        self._units = sharded_units(model)
        self._order = list(range(len(self._units)))  # in which they are gathered; until seen, as registered
        self._entered: list[int] = []
        self._inside = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hooks that see units begin, and the model begin and end its forward."""
        # Before the hooks of the engine: a unit counts as entered once it may have been gathered.
        handles = [
            module.register_forward_pre_hook(lambda *_, index=index: self._enter(index), prepend=True)
            for index, unit in enumerate(self._units)
            for module in unit.modules
        ]
        handles.append(self.model.register_forward_pre_hook(lambda *_: self._begin(), prepend=True))
        handles.append(self.model.register_forward_hook(lambda *_: self._finish()))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _begin(self) -> None:
        self._inside = True

    def _enter(self, index: int) -> None:
        if index not in self._entered:
            self._entered.append(index)

    def _finish(self) -> None:
        if len(self._entered) == len(self._units):
            self._order = self._entered
        for unit in self._units:
            unit.release()
        self._entered, self._inside = [], False
        self.done += 1

    def make_up(self, num_forwards: int) -> None:
        """Takes part in the collectives of the passes that are missing; computes nothing that anybody reads."""
        if self._inside:
            self._complete()
        while self.done < num_forwards:
            self._dummy()

    def _dummy(self) -> None:
        try:
            self.model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=next(self.model.parameters()).device))
        except Exception:
            # The fault is still there. Without units to gather there is no other way to go on.
            if not self._units:
                raise
            self._complete()

    def _complete(self) -> None:
        """Ends a forward pass that stopped half-way: gathers what it would have gathered, and lets go of it."""
        if not self._units:
            raise ProbeError(
                "a forward pass under ZeRO-3 failed half-way; the other ranks wait for it until the time-out of their "
                "process group."
            )
        # A unit that was gathered ahead of its turn has had its collective, too.
        over = {index for index, unit in enumerate(self._units) if index in self._entered or unit.is_gathered}
        reset(self._units)
        for index in self._order:
            if index not in over:
                self._units[index].gather()
                self._units[index].release()
        self._entered, self._inside = [], False
        self.done += 1
