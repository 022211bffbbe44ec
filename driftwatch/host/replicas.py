"""Finds out what several ranks hold: replicas of one model, shards of it, or models whose weights differ.

Ranks share the questions only if each of them would give the same answers. Whether a forward pass needs the other ranks
is seen in a trial, which all make at once with the same input. Whether weights are the same is seen from a few values
of each parameter. See docs/design/0014-which-ranks-are-asked.md.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from driftwatch.errors import ConfigError, ProbeError
from driftwatch.host.fingerprint import parts_of
from driftwatch.host.lockstep import in_step, is_sharded
from driftwatch.host.ranks import num_ranks, together
from driftwatch.host.sharding import is_tensor_parallel

VALUES = 16  # values of each parameter that are compared; an optimizer step moves nearly all values of a parameter
_TRIAL_TOKENS = 8
_NAMESPACES = ("c10d", "_c10d_functional", "c10d_functional", "_c10d_functional_autograd")
# A forward pass sends from one rank to another only if tokens, layers or experts are spread over ranks.
_SENT = ("alltoall", "all_to_all", "send", "recv", "permute_tensor")

OTHER_MODULES = (
    "ranks hold different parts of the model: other parameters on {ranks} than on rank 0 (pipeline parallelism?). "
    "driftwatch asks whole models, replicated or sharded by FSDP, ZeRO or tensor parallelism. Train without "
    "DriftCallback, or ask saved checkpoints with driftwatch baseline."
)
SENDS = (
    "a forward pass of this model sends data from rank to rank ({seen}), as sequence, context or expert parallelism "
    "does, and driftwatch would not give each rank what it expects. It asks models that are replicated or sharded by "
    "FSDP, ZeRO or tensor parallelism. Train without DriftCallback, or ask saved checkpoints with driftwatch baseline."
)
UNKNOWN = (
    "a forward pass of this model talks between ranks ({seen}) in a way that driftwatch does not know: it is sharded "
    "by none of FSDP, ZeRO-3 and tensor parallelism. Train without DriftCallback, or ask saved checkpoints with "
    "driftwatch baseline."
)
NO_GENERATOR = (
    "driftwatch puts back the random state of every device, and torch offers no way to on {device!r} "
    "(torch.{device}.get_rng_state). Train without DriftCallback."
)
APART = "the weights of {ranks} differ from those of rank 0, so the replica of rank 0 alone was asked"
SHARDS_APART = (
    "ranks that hold the same shards have different weights ({ranks} and others), so no one model can be asked"
)


class Held(NamedTuple):
    """What one rank holds.

    Attributes:
        part: Which part of the model it is; ranks with the same part should have the same weights.
        digest: A digest of some of its weights.
    """

    part: str
    digest: str


class _Trial(NamedTuple):
    structure: str
    held: Held
    seen: tuple[str, ...]


def try_out(model: Any) -> str | None:
    """Find out whether this model can be asked on these ranks.

    Call it on every rank, inside the guard, before anything else is asked.

    Args:
        model: The model that `undisturbed` yields.

    Returns:
        A sentence if only the replica of rank 0 can be asked; `None` if all ranks share the work.

    Raises:
        ConfigError: The model cannot be asked. Every rank raises it.
    """
    if num_ranks() == 1:
        return None
    for device in {parameter.device.type for parameter in model.parameters()} - {"cpu", "mps", "meta"}:
        if not callable(getattr(getattr(torch, device, None), "get_rng_state", None)):
            raise ConfigError(NO_GENERATOR.format(device=device))
    structures = together(lambda: _structure(model), "comparing what ranks hold")
    if others := [rank for rank, found in enumerate(structures) if found != structures[0]]:
        raise ConfigError(OTHER_MODULES.format(ranks=_named(others)))
    seen: set[str] = set()
    with in_step(model, 1, "a trial of the model"):
        _watched_forward(model, seen)
    trials = together(lambda: (tuple(sorted(seen)), held(model)), "a trial of the model")
    every = sorted({name for names, _ in trials for name in names})
    if any(word in name for name in every for word in _SENT):
        raise ConfigError(SENDS.format(seen=", ".join(every)))
    if every and not is_sharded(model) and not is_tensor_parallel(model):
        raise ConfigError(UNKNOWN.format(seen=", ".join(every)))
    try:
        return differing([found for _, found in trials], model)
    except ProbeError as err:
        raise ConfigError(str(err)) from err


def differing(found: Sequence[Held], model: Any) -> str | None:
    """A sentence if some replicas have other weights than rank 0's; `None` if all are the same.

    Args:
        found: What each rank holds, in the order of the ranks.
        model: The model that `undisturbed` yields.

    Raises:
        ProbeError: Shards that should be the same differ. Every rank raises it.
    """
    first: dict[str, str] = {}
    others = [rank for rank, (part, digest) in enumerate(found) if first.setdefault(part, digest) != digest]
    if not others:
        return None
    if is_sharded(model) or is_tensor_parallel(model):
        raise ProbeError(SHARDS_APART.format(ranks=_named(others)))
    return APART.format(ranks=_named(others))


@torch.no_grad()
def held(model: nn.Module) -> Held:
    """The part that this rank holds, and a digest of a few values of each of its parameters; no forward is needed."""
    names: list[str] = []
    pieces: dict[torch.device, list[torch.Tensor]] = {}
    coordinates: set[str] = set()
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "ds_id") or type(parameter).__name__ == "FlatParameter":
            coordinates.add("alone")  # these are cut into pieces that no other rank has
            continue
        values: Any = parameter.detach()
        if hasattr(values, "placements"):
            coordinates.add(_coordinate(values))
            values = values.to_local()
        for part in parts_of(values):
            if part.device.type == "meta" or part.numel() == 0:
                continue
            flat = part.reshape(-1)
            piece = flat[:: max(1, flat.numel() // VALUES)][:VALUES].contiguous().view(torch.uint8)
            pieces.setdefault(piece.device, []).append(piece)
            names.append(f"{name} {piece.device.type}")
    if "alone" in coordinates or _is_fsdp1(model) or is_tensor_parallel_by_hand(model):
        return Held(f"rank {torch.distributed.get_rank()}", "")
    sha = hashlib.sha256("\n".join(names).encode())
    for device in sorted(pieces, key=str):
        sha.update(torch.cat(pieces[device]).cpu().numpy().tobytes())
    return Held("; ".join(sorted(coordinates)), sha.hexdigest()[:16])


def is_tensor_parallel_by_hand(model: Any) -> bool:
    """Whether transformers has split layers into plain tensors, which do not show what is split and what is not."""
    return is_tensor_parallel(model) and not any(hasattr(parameter, "placements") for parameter in model.parameters())


def _coordinate(tensor: Any) -> str:
    """Which shard of a DTensor this rank holds: its index along each dimension of the mesh that shards it."""
    place = tensor.device_mesh.get_coordinate() or ()
    sharded = [
        f"{index}" if placement.is_shard() else "*" for index, placement in zip(place, tensor.placements, strict=False)
    ]
    return ",".join(sharded)


def _is_fsdp1(model: nn.Module) -> bool:
    return any(
        base.__name__ == "FullyShardedDataParallel" for module in model.modules() for base in type(module).__mro__
    )


def _structure(model: nn.Module) -> str:
    """A digest of the names and shapes of all parameters; "sharded" if each rank may hold other sizes."""
    if is_sharded(model):
        return "sharded"  # each rank may hold other sizes
    sizes = [f"{name} {tuple(parameter.shape)}" for name, parameter in model.named_parameters()]
    return hashlib.sha256("\n".join(sizes).encode()).hexdigest()[:16]


def _watched_forward(model: Any, seen: set[str]) -> None:
    """One forward pass, the same on all ranks; adds the names of the collectives that it made."""
    device = next(model.parameters()).device
    ids = torch.arange(_TRIAL_TOKENS, device=device)[None]
    with _Collectives(seen):
        model(input_ids=ids)


class _Collectives(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch gives no types for this
    """Notes the names of the collectives that are made inside it."""

    def __init__(self, seen: set[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # as above
        self._seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(hasattr(kind, "placements") or kind.__name__ == "DTensor" for kind in types):
            return NotImplemented  # a DTensor's collectives are seen when torch works on its local tensors
        if func.namespace in _NAMESPACES:
            self._seen.add(func._schema.name.partition("::")[2].strip("_"))
        return func(*args, **(kwargs or {}))


def _named(ranks: Iterable[int]) -> str:
    listed = [str(rank) for rank in ranks]
    return (
        f"rank {listed[0]}" if len(listed) == 1 else f"ranks {', '.join(listed[:8])}{' …' if len(listed) > 8 else ''}"
    )
