"""What each rank does in the tests beside this file: `python scenarios.py SCENARIO FOLDER`.

Every scenario returns what its rank found, as JSON. The group's time-out is short, so that a rank left alone in a
collective is an error and not a wait.
"""

import json
import os
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed as dist

from driftwatch.errors import ConfigError, ProbeError
from driftwatch.guard import undisturbed
from driftwatch.probes import ranks
from driftwatch.testing import tiny_model, tiny_tokenizer

TIMEOUT = timedelta(seconds=40)


def message(call):
    """What an expected error says, or "no error"."""
    try:
        call()
    except (ProbeError, ConfigError) as err:
        return f"{type(err).__name__}: {err}"
    return "no error"


# Agreement


def agreement():
    rank = ranks.rank()

    def work():
        if rank == 1:
            raise ValueError("this rank is out of luck")
        return rank

    return {
        "ranks": [ranks.num_ranks(), rank],
        "broadcast": ranks.broadcast({"from": rank}),
        "together": ranks.together(lambda: rank * 10),
        "failure": message(lambda: ranks.together(work)),
        "same": message(lambda: ranks.same_everywhere("abc", "the plan")),
        "different": message(lambda: ranks.same_everywhere(f"digest{rank}", "the plan")),
        "afterwards": ranks.together(lambda: rank),
    }


# FSDP2: forwards are collective


def sharded_model(**config):
    """A tiny Llama under `fully_shard`: each layer, then the rest."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = tiny_model(tiny_tokenizer(), **config)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model.train()


def batch(seed):
    generator = torch.Generator().manual_seed(100 * seed + ranks.rank())
    return torch.randint(6, 262, (2, 12), generator=generator)


def train_step(model, optimizer, seed):
    ids = batch(seed)
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def weights(model):
    return [parameter.full_tensor().flatten().tolist() for parameter in model.parameters()]


@contextmanager
def fault(module, *, on_call, every_later_one=False):
    """Rank 1 fails inside a module's forward, at one call or from it on."""
    calls = 0

    def hook(*_):
        nonlocal calls
        calls += 1
        if ranks.rank() == 1 and (calls == on_call or (every_later_one and calls > on_call)):
            raise RuntimeError("no memory on this rank")

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


NUM_FORWARDS = 3


def look(model, *, fail_before=None):
    """Three forwards in the guard; rank 1 raises before one of them if told to."""

    def work():
        for index in range(NUM_FORWARDS):
            stumble(index)
            asked(input_ids=batch(7)[:, : 4 + index])
        stumble(NUM_FORWARDS)

    def stumble(index):
        if ranks.rank() == 1 and index == fail_before:
            raise RuntimeError("no memory on this rank")

    def ask():
        with ranks.in_step(asked, NUM_FORWARDS):
            work()

    with undisturbed(model) as asked:
        return message(lambda: ranks.together(ask))


def train(model, looks):
    """Two updates with looks before, between and after them; what the looks said, and the final weights."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    said = [looks(model)]
    for seed in range(2):
        train_step(model, optimizer, seed)
        said.append(looks(model))
    return {"said": said, "weights": weights(model)}


def before_torch_2_13(looks):
    """The same looks where FSDP2 has no method to reset what a broken forward leaves behind."""
    from torch.distributed.fsdp import FSDPModule

    def without_reset(model):
        method = FSDPModule.__dict__.get("reset_iter_state")
        if method is None:
            return looks(model)
        del FSDPModule.reset_iter_state
        try:
            return looks(model)
        finally:
            FSDPModule.reset_iter_state = method

    return without_reset


def fsdp2_failures():
    """The same training under every kind of failing look; all must end with the same weights."""

    def inside(pick, **when):
        def looks(model):
            with fault(pick(model), **when):
                return look(model)

        return looks

    cases = {
        "without looks": lambda model: None,
        "without failure": look,
        "before the first forward": lambda model: look(model, fail_before=0),
        "between forwards": lambda model: look(model, fail_before=2),
        "after the last forward": lambda model: look(model, fail_before=NUM_FORWARDS),
        "in the embedding": inside(lambda m: m.model.embed_tokens, on_call=1),
        "in the first layer": inside(lambda m: m.model.layers[0].mlp, on_call=1),
        "in the last layer, second forward": inside(lambda m: m.model.layers[1].self_attn, on_call=2),
        "in the head": inside(lambda m: m.lm_head, on_call=3),
        "in the first layer, older torch": before_torch_2_13(inside(lambda m: m.model.layers[0].mlp, on_call=1)),
        "again and again": inside(lambda m: m.model.layers[0].mlp, on_call=1, every_later_one=True),
    }
    return {name: train(sharded_model(), looks) for name, looks in cases.items()}


def main(scenario, folder):
    torch.use_deterministic_algorithms(True)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = dist.FileStore(f"{folder}/{scenario}.store", world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=TIMEOUT)
    found = globals()[scenario]()
    Path(folder, f"{scenario}-{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
