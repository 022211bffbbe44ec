"""Weights: a checksum that tells whether a model is still the one that was asked."""

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_WIDE = 8  # bytes that are added up as one whole number, so that the order of the sum does not matter


@torch.no_grad()
def checksum(model: Any) -> str:
    """A checksum of all weights that this process holds, bit by bit: equal for equal weights, different for others.

    Every weight is read once, on its own device, and one number per weight is moved to the host, which takes some
    milliseconds for billions of parameters on a GPU. If the model is sharded, it is the checksum of this rank's shards.

    Args:
        model: Any module; weights on the device "meta" do not count.

    Returns:
        16 hexadecimal digits.

    Raises:
        Exception: Some weights cannot be read bit by bit; it is torch's own error.
    """
    by_device: dict[torch.device, list[Tensor]] = {}
    names = []
    for name, tensor in _held(model):
        octets = tensor.contiguous().view(-1).view(torch.uint8)
        whole = octets.numel() - octets.numel() % _WIDE
        if octets.storage_offset() % _WIDE == 0:  # a part of a larger tensor may not be aligned
            total = octets[:whole].view(torch.int64).sum() + octets[whole:].sum()
        else:
            total = octets.sum(dtype=torch.int64)
        by_device.setdefault(tensor.device, []).append(total)
        names.append((name, tuple(tensor.shape), str(tensor.dtype)))
    found = hashlib.sha256(repr(names).encode())
    for device in sorted(by_device, key=str):
        found.update(repr(torch.stack(by_device[device]).tolist()).encode())
    return found.hexdigest()[:16]


def parts_of(tensor: Tensor) -> Iterator[Tensor]:
    """The plain tensors inside one that wraps others or is sparse; a plain tensor itself."""
    if hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        for name in names:
            yield from parts_of(getattr(tensor, name))
    elif tensor.layout == torch.sparse_coo:
        yield from (tensor._indices(), tensor._values())
    elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        yield from (tensor.crow_indices(), tensor.col_indices(), tensor.values())
    elif tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        yield from (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    elif tensor.layout != torch.strided:
        yield tensor.to_dense()
    else:
        yield tensor.int_repr() if tensor.is_quantized else tensor  # their values cannot be viewed as bytes


def _held(model: Any) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        # ZeRO-3 empties a parameter between its uses and keeps this rank's part beside it; FSDP2 keeps a part inside.
        tensor = getattr(parameter, "ds_tensor", parameter)
        tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor.detach()
        for part in parts_of(tensor):
            if part.device.type != "meta" and part.numel():
                yield name, part
