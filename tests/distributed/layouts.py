"""How training is laid out over ranks: each layout trained with and without driftwatch, also with one rank in trouble.

Loops by hand, so that what differs between two trainings is the layout and nothing a Trainer does besides.
"""

import errno
import hashlib
import os
import signal
import threading
import traceback
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec

import torch
from torch import distributed as dist
from torch import nn
from trainings import FailsOnce, confirmation, replaced, small_pack

from driftwatch import RunStore
from driftwatch.host import ranks
from driftwatch.host.exchange import group_seconds
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_model, tiny_tokenizer
from driftwatch.watch.monitor import Monitor

STEPS = 3
PATIENCE, LATE = 6.0, 12.0  # seconds: how long a rank is waited for, and how long it takes, where one is slow


def replicas(**options):
    return nn.parallel.DistributedDataParallel(tiny_model(tiny_tokenizer()).train(), **options)


def fsdp2(model=None, *, checkpointing=False, **options):
    """Each layer, then the rest, under `fully_shard`."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = tiny_model(tiny_tokenizer()).train() if model is None else model
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for module in list(model.modules()):
        if type(module).__name__ == "LlamaDecoderLayer":
            fully_shard(module, mesh=mesh, **options)
    return fully_shard(model, mesh=mesh, **options)


def with_lora():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(7)
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(tiny_model(tiny_tokenizer()).train(), lora)


def offloaded():
    from torch.distributed.fsdp import CPUOffloadPolicy

    return fsdp2(offload_policy=CPUOffloadPolicy(pin_memory=False))


def half_precision():
    from torch.distributed.fsdp import MixedPrecisionPolicy

    return fsdp2(mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32))


def tensor_parallel():
    """Feed-forward layers split over all ranks, by torch's own `parallelize_module`."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    model = tiny_model(tiny_tokenizer()).train()
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in model.model.layers:
        plan = {"gate_proj": ColwiseParallel(), "up_proj": ColwiseParallel(), "down_proj": RowwiseParallel()}
        parallelize_module(layer.mlp, mesh, plan)
    return model


def zero(stage):
    import deepspeed

    settings = {
        "train_micro_batch_size_per_gpu": 2,
        "optimizer": {"type": "SGD", "params": {"lr": 0.1}},
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {
            "stage": stage,
            "reduce_bucket_size": 10_000,
            "allgather_bucket_size": 10_000,
            "stage3_prefetch_bucket_size": 5_000,
            "stage3_param_persistence_threshold": 0,
        },
    }
    model = tiny_model(tiny_tokenizer()).train()
    return deepspeed.initialize(model=model, model_parameters=model.parameters(), config=settings)[0]


LAYOUTS = {
    "DDP": replicas,
    "DDP, static graph": partial(replicas, static_graph=True),
    "DDP, accumulation without synchronising": replicas,
    "DDP, uneven last batches": replicas,
    "DDP, LoRA": lambda: nn.parallel.DistributedDataParallel(with_lora()),
    "FSDP2": fsdp2,
    "FSDP2, offload to the CPU": offloaded,
    "FSDP2, activation checkpointing": partial(fsdp2, checkpointing=True),
    "FSDP2, bfloat16": half_precision,
    "FSDP2, LoRA": lambda: fsdp2(with_lora()),
    "tensor parallel": tensor_parallel,
}
if find_spec("deepspeed") is not None:
    LAYOUTS |= {f"ZeRO-{stage}": partial(zero, stage) for stage in (1, 2, 3)}


def train(layout, observe=None):
    """Three updates, observed after each; a digest of the weights, sharded ones as each rank holds them."""
    torch.manual_seed(3)
    model = LAYOUTS[layout]()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = None if hasattr(model, "backward") else torch.optim.SGD(trained, lr=0.1)
    if observe is not None:
        observe(model, 0)
    for step in range(1, STEPS + 1):
        for micro in range(2):
            waits = micro == 0 and layout == "DDP, accumulation without synchronising"
            with model.no_sync() if waits else nullcontext():
                backward(model, layout, step, micro)
            if optimizer is None:
                model.step()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad()
        if observe is not None:
            observe(model, step)
    return digest(model)


def backward(model, layout, step, micro):
    """All ranks see the same under tensor parallelism, and otherwise each its own."""
    seed = 100 * step + 10 * micro + (0 if layout == "tensor parallel" else ranks.rank())
    rows = 1 if "uneven" in layout and step == STEPS and ranks.rank() == 1 else 2
    ids = torch.randint(6, 262, (rows, 12), generator=torch.Generator().manual_seed(seed))
    loss = model(input_ids=ids, labels=ids).loss
    if hasattr(model, "backward"):
        model.backward(loss)
    else:
        loss.backward()


def digest(model):
    sha = hashlib.sha256()
    for parameter in model.parameters():
        held = getattr(parameter, "ds_tensor", parameter).detach()
        held = held.to_local() if hasattr(held, "to_local") else held
        sha.update(held.float().numpy().tobytes())
    return sha.hexdigest()[:16]


class Watch:
    """A monitor of one training, which goes on whatever happens to an observation, as the callback has it go on."""

    def __init__(self, folder, layout, *, probe=None, disk=nullcontext):
        self._monitor = Monitor(
            small_pack(),
            probes=(probe or StatementProbe(naysaying_items=0),),
            confirm=None if layout == "tensor parallel" else confirmation(),
            run="watched",
            output_dir=folder,
            exporters=(),
        )
        self._probe = probe
        self._disk, self._meanwhile = disk, ExitStack()

    def __call__(self, model, step):
        if step == 0:
            self._monitor.begin(model, tiny_tokenizer(), planned_steps=STEPS)
            self._meanwhile.enter_context(self._disk())
            return
        if self._probe is not None:
            self._probe.is_armed = step == 2
        try:
            self._monitor.observe(model, step)
        except Exception as err:  # noqa: BLE001 - as the one guard does
            self._monitor.fail(step, err)
        if step == STEPS:
            self._monitor.close("finished")
            self._meanwhile.close()


class Slow(StatementProbe):
    """At step 2 one rank takes longer than the others wait."""

    def __init__(self):
        super().__init__(naysaying_items=0)
        self.is_armed = False

    def measure(self, model, **options):
        if self.is_armed and ranks.rank() == 1:
            threading.Event().wait(LATE)
        return super().measure(model, **options)


class Killed(Slow):
    """At step 2 one rank is ended from outside."""

    def measure(self, model, **options):
        if self.is_armed and ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().measure(model, **options)


@contextmanager
def full_disk():
    """No file of the run takes another line."""

    def refuses(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with replaced(RunStore, append_line=refuses):
        yield


def layouts(folder):
    """Every layout in every kind of trouble."""
    return {layout: outcome_of(layout, folder / str(number)) for number, layout in enumerate(LAYOUTS)}


def outcome_of(layout, folder):
    try:
        found = {"plain": train(layout)}
        cases = {"watched": None, "raises": FailsOnce(1, afterwards=False), "slow": Slow(), "full disk": None}
        for name, probe in cases.items():
            share = PATIENCE / group_seconds() if name == "slow" else ranks.WAIT_SHARE
            disk = full_disk if name == "full disk" else nullcontext
            with replaced(ranks, WAIT_SHARE=share):
                found[name] = train(layout, Watch(folder / name, layout, probe=probe, disk=disk))
            dist.barrier()
            store = RunStore(folder / name / "watched")
            records = store.records() if store.exists else []
            found[f"{name}, observations"] = [[record.step, bool(record.failures)] for record in records]
    except Exception:  # noqa: BLE001 - the table shows it
        return {"error": traceback.format_exc()}
    return found


def killed(folder):
    """One rank is killed in mid observation, or at the same place without driftwatch."""
    layout = os.environ["DRIFTWATCH_TEST_LAYOUT"]

    def without(model, step):
        if step == 2 and ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    is_watched = os.environ["DRIFTWATCH_TEST_WATCHED"] == "1"
    return train(layout, Watch(folder, layout, probe=Killed()) if is_watched else without)
