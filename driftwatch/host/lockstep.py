"""Keeps the number of forward passes equal on every rank of a sharded model, even if one of the ranks fails.

Under FSDP and ZeRO-3 a forward pass is a series of collectives. A rank that stopped early would leave the others
waiting in the next one. So before a rank says that it failed, it takes part in the collectives that it still owes.

Nothing helps if a collective itself fails. Training has the same limit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from driftwatch.errors import ProbeError
from driftwatch.host.ranks import num_ranks, together
from driftwatch.host.sharding import Collectives, collectives_of, is_tensor_parallel


@contextmanager
def in_step(model: Any, num_forwards: int, what: str = "an observation", digest: str = "") -> Iterator[None]:
    """Makes sure that this rank makes exactly `num_forwards` forward passes, even if the work inside raises.

    No rank begins before all have come here for the same work. Otherwise a rank that failed earlier would leave the
    others in a collective of the trainer's own, and meet them there with a different one.

    Args:
        model: The model that `undisturbed` yields; call this inside the guard.
        num_forwards: The number of passes that each rank makes.
        what: The work, in words.
        digest: A digest of what is asked, the same on every rank.

    Raises:
        RanksError: Some rank did not come, or came for something else. Every rank raises it, and none has begun.
        ProbeError: The work made another number of passes without raising: a bug that would hang the next observation.
    """
    collectives = collectives_of(model) if num_ranks() > 1 else None
    if collectives is None:
        if num_ranks() > 1 and is_tensor_parallel(model):  # missing passes cannot be made up for there
            together(lambda: None, what, f"begin {num_forwards} {digest}")
        yield
        return
    passes = _Passes(model, collectives)
    with passes.watched():
        together(lambda: None, what, f"begin {num_forwards} {digest}")
        try:
            yield
        except Exception:
            passes.make_up(num_forwards)
            raise
    if passes.done != num_forwards:
        raise ProbeError(f"expected {num_forwards} forward passes on each rank, and this one made {passes.done}")


def is_sharded(model: Any) -> bool:
    """Whether a forward of this model is collective: FSDP2, FSDP1 or ZeRO-3."""
    return collectives_of(model) is not None


class _Passes:
    """Counts the forward passes of a sharded model, and makes up for missing ones."""

    def __init__(self, model: nn.Module, collectives: Collectives) -> None:
        self.model = model
        self.done = 0
        self._collectives = collectives
        self._inside = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hooks that see the model begin and end its forward."""
        handles = self._collectives.watch()
        handles.append(self.model.register_forward_pre_hook(lambda *_: self._begin(), prepend=True))
        handles.append(self.model.register_forward_hook(lambda *_: self._end()))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _begin(self) -> None:
        self._inside = True

    def _end(self) -> None:
        self._collectives.end()
        self._count()

    def _count(self) -> None:
        self._inside = False
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
        except Exception:  # noqa: BLE001 - the same fault as before
            self._complete()

    def _complete(self) -> None:
        self._collectives.complete()
        self._count()
