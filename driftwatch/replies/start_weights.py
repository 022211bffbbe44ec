"""Start weights: a copy of what training began with, so that the baseline can be asked again while training goes on.

Only what training changes is kept: parameters that require gradients, and buffers. They are put into the model while
the baseline is asked, and then the present weights are put back to the last bit. Gradients, the optimizer and
autograd's version counters are not touched. Every process must hold whole parameters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from driftwatch.errors import ConfigError, ProbeError
from driftwatch.host.ranks import rank, together
from driftwatch.replies.confirmation import KeepStart


class StartWeights:
    """The weights of the start, in memory or in a file of this process.

    Args:
        tensors: The weights by name, on the CPU; `None` if the file holds them.
        path: The file that holds them; `None` if `tensors` does.
    """

    def __init__(self, tensors: dict[str, torch.Tensor] | None, path: Path | None = None) -> None:
        self._tensors = tensors
        self._path = path

    @classmethod
    def keep(cls, model: Any, how: KeepStart, folder: Path) -> "StartWeights":
        """Copies of the present weights; call it before the first step, on every rank.

        Args:
            model: The model at the start of training.
            how: "memory" keeps them in the CPU's memory; "disk" keeps them in a file, which a resumed run finds again.
            folder: The run's folder, for "disk".

        Raises:
            ConfigError: Parameters are sharded, so that no process has whole ones to copy.
        """
        if (sharded := _sharded(model)) is not None:
            raise ConfigError(
                f'keep_start="{how}" copies whole parameters, and those of this model are not whole on a process '
                f"({sharded}). Leave keep_start out: the baseline's replies then last for the planned observations "
                "and half as many again; or train adapters, which are switched off for the baseline."
            )
        tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in _changing(model)}
        if how == "memory":
            return cls(tensors)
        from safetensors.torch import save_file

        path = _file(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path)
        return cls(None, path)

    @classmethod
    def kept(cls, folder: Path) -> "StartWeights | None":
        """The weights that an earlier attempt left on disk; `None` unless every rank finds its own file."""
        path = _file(folder)
        return cls(None, path) if all(together(path.is_file, "looking for the start weights")) else None

    @contextmanager
    def active(self, model: Any) -> Iterator[Any]:
        """The model with the weights of the start; afterwards the present ones are back, whatever happens.

        Raises:
            ProbeError: The model has other parameters than it had.
        """
        start = self._tensors if self._tensors is not None else self._loaded()
        changing = dict(_changing(model))
        if {n: (t.shape, t.dtype) for n, t in changing.items()} != {n: (t.shape, t.dtype) for n, t in start.items()}:
            raise ProbeError("the model has other parameters than when training began, so its start cannot be asked.")
        present = {name: tensor.detach().to("cpu", copy=True) for name, tensor in changing.items()}
        try:
            for name, tensor in changing.items():
                tensor.data.copy_(start[name])
            yield model
        finally:
            for name, tensor in changing.items():
                tensor.data.copy_(present[name])

    def _loaded(self) -> dict[str, torch.Tensor]:
        from safetensors.torch import load_file

        assert self._path is not None
        try:
            return load_file(self._path)
        except Exception as err:  # a file that is gone or cut off must prevent only the topping up
            raise ProbeError(f"the start weights in {self._path.name} cannot be read: {err}") from err


def _file(folder: Path) -> Path:
    return folder / f"start-weights-{rank()}.safetensors"


def _changing(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters in training and the buffers by name, each tensor once."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, parameter
    yield from model.named_buffers()


def _sharded(model: Any) -> str | None:
    """The sign that a process does not hold whole parameters, in words; `None` if it holds them."""
    from torch.distributed.tensor import DTensor

    for name, parameter in model.named_parameters():
        if isinstance(parameter, DTensor):
            return f"{name} is a DTensor, as of FSDP2 or tensor parallelism"
        if hasattr(parameter, "ds_id"):
            return f"{name} is partitioned by DeepSpeed ZeRO-3"
        if parameter.device.type == "meta":
            return f"{name} is on the meta device"
        if hasattr(parameter, "_is_flat_param") or type(parameter).__name__ == "FlatParameter":
            return f"{name} is a flat parameter of FSDP"
    modules = (type(module).__name__ for module in model.modules())
    return "the model is wrapped by FSDP" if "FullyShardedDataParallel" in modules else None
