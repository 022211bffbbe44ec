"""Several processes, one look: how ranks agree.

Rank 0 decides (`broadcast`); all ranks work, and then agree whether everybody succeeded (`together`), so that a look is
made by all of them or by none. How they keep in step while they work: `in_step.py`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from driftwatch.errors import ConfigError, ProbeError

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
