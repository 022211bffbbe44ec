"""What each rank does in the tests beside this file: `python scenarios.py FOLDER SCENARIO …`.

Every scenario returns what its rank found, as JSON. The group's time-out is short, so that a rank left alone in a
collective is an error and not a wait.
"""

import json
import os
import sys
import traceback
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from inspect import signature
from pathlib import Path

import torch

# Run as a script, so that what stands beside it is found by its bare name.
from layouts import killed, layouts
from torch import distributed as dist
from torch import nn
from trainings import (
    another_world,
    apart,
    confirmation,
    fails_between,
    hostile,
    judge_is_slow,
    judge_reads_at_the_end,
    one_rank_watches,
    own_disks,
    parts_fail,
    refused,
    small_pack,
    switched_off,
)

from driftwatch.errors import ConfigError, ProbeError
from driftwatch.host import ranks
from driftwatch.host.guard import undisturbed
from driftwatch.host.lockstep import in_step
from driftwatch.replies.decoding import Decoding
from driftwatch.scoring.score import Request, plan, score
from driftwatch.scoring.shares import plan_on_ranks, score_on_ranks, spread
from driftwatch.testing import tiny_model, tiny_tokenizer

TIMEOUT = timedelta(seconds=40)
# Looked up by name, from the command line.
TRAININGS = (another_world, apart, fails_between, hostile, judge_is_slow, judge_reads_at_the_end, killed, layouts)
TRAININGS += (one_rank_watches, own_disks, parts_fail, refused, switched_off)


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


# Sharded models: forwards are collective


def fsdp2_model():
    """A tiny Llama under `fully_shard`: each layer, the norm with the head, then the rest."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = tiny_model(tiny_tokenizer())
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard([model.model.norm, model.lm_head], mesh=mesh, reshard_after_forward=False)
    fully_shard(model, mesh=mesh)
    return model.train()


def fsdp1_model():
    """The same under FullyShardedDataParallel."""
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    model = tiny_model(tiny_tokenizer())
    policy = ModuleWrapPolicy({type(model.model.layers[0])})
    return FullyShardedDataParallel(
        model, auto_wrap_policy=policy, device_id=torch.device("cpu"), use_orig_params=True
    ).train()


def inner(model):
    """The Llama inside, whose layers tests break."""
    return getattr(model, "module", model)


def zero_settings(stage):
    """Small enough that a model this tiny is divided at all, and that buckets do not take gigabytes."""
    sizes = {
        "reduce_bucket_size": 10_000,
        "allgather_bucket_size": 10_000,
        "stage3_prefetch_bucket_size": 5_000,
        "stage3_param_persistence_threshold": 0,
    }
    return {"zero_optimization": {"stage": stage, **sizes}, "zero_allow_untested_optimizer": True}


def zero_model(stage):
    """The same in an engine of DeepSpeed; on the CPU, too, if DS_ACCELERATOR says so."""
    import deepspeed

    model = tiny_model(tiny_tokenizer()).train()
    settings = {
        **zero_settings(stage),
        "train_micro_batch_size_per_gpu": 2,
        "optimizer": {"type": "SGD", "params": {"lr": 0.1}},
    }
    engine = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=settings)[0]
    look(engine)  # as before training: what is left of a broken pass is known from a whole one
    return engine


if os.environ.get("DRIFTWATCH_TEST_ZERO"):
    SHARDED = {"zero2": lambda: zero_model(2), "zero3": lambda: zero_model(3)}
else:
    SHARDED = {"fsdp2": fsdp2_model, "fsdp1": fsdp1_model}


def batch(seed):
    generator = torch.Generator().manual_seed(100 * seed + ranks.rank())
    return torch.randint(6, 262, (2, 12), generator=generator)


def train_step(model, optimizer, seed):
    ids = batch(seed)
    loss = model(input_ids=ids, labels=ids).loss
    if optimizer is None:  # DeepSpeed's engine has its own
        model.backward(loss)
        model.step()
        return
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def optimizer_of(model):
    return None if hasattr(model, "backward") else torch.optim.SGD(model.parameters(), lr=0.1)


def weights(model):
    """Whole weights, by whatever the model is sharded."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    if isinstance(model, FullyShardedDataParallel):
        with FullyShardedDataParallel.summon_full_params(model):
            return [parameter.tolist() for parameter in model.parameters()]
    if hasattr(model, "zero_optimization_stage"):
        import deepspeed

        with deepspeed.zero.GatheredParameters(list(model.parameters())):
            return [parameter.tolist() for parameter in model.parameters()]
    return [as_whole(parameter).tolist() for parameter in model.parameters()]


def as_whole(parameter):
    return parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter.detach()


@contextmanager
def fault(module, *, on_call, every_later_one=False):
    """Rank 1 fails inside a module's forward, at one call or from it on."""
    calls, forward = 0, module.forward

    def failing(*arguments, **named):
        nonlocal calls
        calls += 1
        if ranks.rank() == 1 and (calls == on_call or (every_later_one and calls > on_call)):
            raise RuntimeError("no memory on this rank")
        return forward(*arguments, **named)

    module.forward = failing
    try:
        yield
    finally:
        del module.forward


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
        with in_step(asked, NUM_FORWARDS):
            work()

    with undisturbed(model) as asked:
        return message(lambda: ranks.together(ask))


def train(model, looks):
    """Two updates with observations before, between and after them; what those said, and the final weights."""
    optimizer = optimizer_of(model)
    said = [looks(model)]
    for seed in range(2):
        train_step(model, optimizer, seed)
        said.append(looks(model))
    return {"said": said, "weights": weights(model)}


def before_torch_2_13(looks):
    """The same observations where FSDP2 has no method to reset what a broken forward leaves behind."""
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


def failures():
    """The same training under every kind of failing observation; all must end with the same weights."""

    def inside(pick, **when):
        def looks(model):
            with fault(pick(inner(model)), **when):
                return look(model)

        return looks

    in_first_layer = inside(lambda m: layer(m, 0).mlp, on_call=1)
    cases = {
        "without observations": lambda model: None,
        "without failure": look,
        "before the first forward": lambda model: look(model, fail_before=0),
        "between forwards": lambda model: look(model, fail_before=2),
        "after the last forward": lambda model: look(model, fail_before=NUM_FORWARDS),
        "in the embedding": inside(lambda m: m.model.embed_tokens, on_call=1),
        "in the first layer": in_first_layer,
        "in the first layer, older torch": before_torch_2_13(in_first_layer),
        "in the last layer, second forward": inside(lambda m: layer(m, 1).self_attn, on_call=2),
        "in the head": inside(lambda m: m.lm_head, on_call=3),
        "again and again": inside(lambda m: layer(m, 0).mlp, on_call=1, every_later_one=True),
        "before anything is set up, again and again": inside(lambda m: m.model, on_call=1, every_later_one=True),
    }
    return {kind: {name: train(make(), looks) for name, looks in cases.items()} for kind, make in SHARDED.items()}


def layer(model, index):
    return inner(model.model.layers[index])


# Scoring: shares of a plan


def requests():
    """Eleven questions of different lengths with continuations that share first tokens; the same on every rank."""
    generator = torch.Generator().manual_seed(5)

    def tokens(length):
        return tuple(torch.randint(6, 262, (length,), generator=generator).tolist())

    stem, start = tokens(9), tokens(2)
    return [Request(stem + tokens(3 + n), (start + tokens(4), start + tokens(2), tokens(5))) for n in range(11)]


def found(scored):
    return {"scores": [each.tolist() for each in scored.log_likelihoods], "splits": scored.num_splits}


def scoring():
    """Scores of one process, of two ranks with replicas, and of two ranks that share one model."""
    model = tiny_model(tiny_tokenizer()).train()
    with undisturbed(model) as asked:
        alone_plan = plan(requests(), asked, max_tokens=64)
        alone = score(asked, alone_plan)
    outcome = {"alone": found(alone), "alone_tokens": alone.tokens_computed}
    for name, make in {"ddp": lambda: nn.parallel.DistributedDataParallel(model), **SHARDED}.items():
        with undisturbed(make()) as asked:
            mine = requests() if ranks.rank() == 0 else []  # rank 0's are asked
            shared_plan = plan_on_ranks(mine, asked, max_tokens=64)
            counter = count_tokens(asked)
            outcome[name] = found(score_on_ranks(asked, shared_plan))
            outcome[f"{name}_tokens"] = counter.tokens
            outcome[f"{name}_digest"] = shared_plan.digest == alone_plan.digest
    return outcome


def count_tokens(model):
    """Counts the token positions that go through a model on this rank."""

    class Counter:
        tokens = 0

        def add(self, module, arguments, named):
            self.tokens += named["input_ids"].numel()

    counter = Counter()
    model.register_forward_pre_hook(counter.add, with_kwargs=True)
    return counter


def out_of_memory():
    """Rank 1 has memory for few rows only: both ranks divide their batches, and the scores stay what they were."""
    made = {"ddp": lambda: tiny_model(tiny_tokenizer()), **SHARDED}
    return {name: with_little_memory(make()) for name, make in made.items()}


def with_little_memory(model):
    with undisturbed(model) as asked:
        shared_plan = plan_on_ranks(requests(), asked, max_tokens=512, max_bytes=2**30)
        with little_memory(layer(inner(asked), 1), rows=2):
            divided = score_on_ranks(asked, shared_plan)
        with little_memory(layer(inner(asked), 1), rows=0):
            never = message(lambda: score_on_ranks(asked, shared_plan))
        return {"divided": found(divided), "never": never, "whole": found(score_on_ranks(asked, shared_plan))}


@contextmanager
def little_memory(layer, *, rows):
    def hook(module, arguments, named):
        hidden = arguments[0] if arguments else named["hidden_states"]
        if ranks.rank() == 1 and hidden.shape[0] > rows:
            raise torch.OutOfMemoryError("out of memory")

    handle = layer.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def spreading():
    """Work on shares: five items on two ranks, in order; a rank that fails; nothing to do."""
    model = tiny_model(tiny_tokenizer())

    def work(items):
        seen.append(list(items))
        return [item * 10 for item in items]

    def fails(items):
        return [1 // (item - 4) for item in items]  # item 4 is rank 0's

    seen = []
    return {
        "results": spread(model, [1, 2, 3, 4, 5], work, 0),
        "mine": seen,
        "single": spread(model, [7], work, 0),
        "failure": message(lambda: spread(model, [4, 5], fails, 0)),
        "nothing": spread(model, [], work, 0),
    }


# An engine that writes replies


def engines():
    """Every rank's own, one over both ranks, and a server that rank 0 talks to; then two that fail on rank 1."""
    import sys
    from types import ModuleType, SimpleNamespace

    from driftwatch.replies.vllm import TrainerEngine

    sys.modules["vllm"] = vllm = ModuleType("vllm")
    vllm.SamplingParams = SimpleNamespace
    decoding, prompts = Decoding(max_new_tokens=3), [[5, n] for n in range(5)]
    done = []

    def write(ids, seed):
        done.append(ids[1])
        return [ids[1], seed]

    def generate(given, sampling_params, use_tqdm):
        if failing:
            raise RuntimeError("no memory on this rank")
        answers = [
            write(one["prompt_token_ids"], params.seed) for one, params in zip(given, sampling_params, strict=True)
        ]
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids)]) for ids in answers]

    def answer(prompts, generation_kwargs):
        return {"completion_ids": [write(prompts[0], generation_kwargs["seed"])]}

    def sleep(level):
        if sleepless:
            raise RuntimeError("no memory to sleep in")
        done.append("sleep")

    def asked(mode, ranks_per_engine=1, number=5, sleeps=False):
        done.clear()
        llm = SimpleNamespace(
            generate=generate,
            llm_engine=SimpleNamespace(model_config=SimpleNamespace(max_model_len=64)),
            wake_up=lambda tags: done.append("wake"),
            sleep=sleep,
        )
        generation = SimpleNamespace(
            mode=mode,
            model=tiny_model(tiny_tokenizer()),
            tensor_parallel_size=ranks_per_engine,
            enable_sleep_mode=sleeps,
            _llm_weights_sleeping=False,
            sync_weights=lambda: done.append("sync"),
            llm=llm,
        )
        if ranks.rank() == 0:  # TRL gives the client to the main process alone
            generation.vllm_client = SimpleNamespace(generate=answer)
        engine = TrainerEngine("vLLM 1", generation)
        return {
            "replies": engine.write(prompts[:number], list(range(10, 10 + number)), decoding, [2]),
            "done": list(done),
        }

    failing = sleepless = False
    found = {"own": asked("colocate"), "one": asked("colocate", number=1)}
    found["split"], found["server"] = asked("colocate", ranks_per_engine=2), asked("server")
    failing = ranks.rank() == 1
    found["failure"] = message(lambda: asked("colocate"))
    failing, sleepless = False, ranks.rank() == 1
    found["sleepless"] = message(lambda: asked("colocate", sleeps=True))
    found["after"] = ranks.together(ranks.rank)  # what the ranks do next is the same
    return found


# A real trainer


@contextmanager
def fsdp2_on_cpu():
    """Makes accelerate (1.15), which silently trains with DDP where FSDP is asked for on a CPU, do what it is told."""
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    original = AcceleratorState.__init__

    def with_fsdp(state, *arguments, **named):
        original(state, *arguments, **named)
        if "fsdp_plugin" not in AcceleratorState._shared_state:
            AcceleratorState._shared_state["distributed_type"] = DistributedType.FSDP
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            AcceleratorState._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin(
                fsdp_version=2,
                auto_wrap_policy="transformer_based_wrap",
                transformer_cls_names_to_wrap=["LlamaDecoderLayer"],
                cpu_ram_efficient_loading=False,
            )

    AcceleratorState.__init__ = with_fsdp
    try:
        yield
    finally:
        AcceleratorState.__init__ = original
        AcceleratorState._reset_state(reset_partial_state=True)


def dpo_trainer(folder, callbacks, **engine):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    words = ["red", "blue", "green", "gold", "grey", "pink"]
    data = {"prompt": [f"Name {w}. " for w in words], "chosen": words, "rejected": ["none of them" for _ in words]}
    settings = {
        "output_dir": str(folder),
        "max_steps": 3,
        "per_device_train_batch_size": 1,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
    }
    return DPOTrainer(
        tiny_model(tiny_tokenizer()),
        ref_model=tiny_model(tiny_tokenizer()),
        args=DPOConfig(**{**settings, **engine}),
        train_dataset=Dataset.from_dict(data),
        processing_class=tiny_tokenizer(),
        callbacks=callbacks,
    )


def watched_training(folder, **engine):
    """A DPO run with driftwatch, in which rank 1 fails at the observation after step 2, and the same run without."""
    outcome = {}
    for name in ("plain", "watched"):
        callbacks = [watcher(folder)] if name == "watched" else []
        trainer = dpo_trainer(folder / name, callbacks, **engine)
        trainer.train()
        outcome[name] = {
            "weights": weights(trainer.model_wrapped),
            "losses": [line["loss"] for line in trainer.state.log_history if "loss" in line],
        }
        outcome["wrapped"] = [base.__name__ for base in type(trainer.model_wrapped).__mro__]
    return outcome


def watcher(folder):
    from driftwatch import DriftCallback, Schedule
    from driftwatch.probes.statement import StatementProbe

    class FailsOnce(DriftCallback):
        def on_step_end(self, args, state, control, **named):
            faulty = fault(layer(inner(named["model"]), 1).mlp, on_call=1) if state.global_step == 2 else nullcontext()
            with faulty:
                super().on_step_end(args, state, control, **named)

    return FailsOnce(
        small_pack(),
        probes=(StatementProbe(naysaying_items=0),),
        confirm=confirmation(),
        schedule=Schedule(every_steps=1, budget=None),
        run="shared",
        output_dir=folder / "runs",
        exporters=(),
    )


def dpo_fsdp2(folder):
    with fsdp2_on_cpu():
        return watched_training(folder)


def dpo_ddp(folder):
    return watched_training(folder)


# The same on real devices, where accelerate needs no help

FSDP = {"auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "transformer_layer_cls_to_wrap": ["LlamaDecoderLayer"]}
ZERO = {
    "train_micro_batch_size_per_gpu": "auto",
    "train_batch_size": "auto",
    "gradient_accumulation_steps": "auto",
}


def gpu_fsdp2(folder):
    return watched_training(folder, use_cpu=False, fsdp=True, fsdp_config={**FSDP, "version": 2})


def gpu_fsdp1(folder):
    return watched_training(folder, use_cpu=False, fsdp=True, fsdp_config={**FSDP, "version": 1})


def gpu_zero2(folder):
    return watched_training(folder, use_cpu=False, deepspeed={**ZERO, **zero_settings(2)})


def gpu_zero3(folder):
    return watched_training(folder, use_cpu=False, deepspeed={**ZERO, **zero_settings(3)})


# Monitor without a trainer


def monitor(folder):
    """The same run with replicas and sharded; rank 1 fails at the second observation."""
    from driftwatch.probes.statement import StatementProbe
    from driftwatch.watch.monitor import Monitor

    outcome = {}
    made = {"ddp": lambda: nn.parallel.DistributedDataParallel(tiny_model(tiny_tokenizer()).train()), **SHARDED}
    for name, make in made.items():
        model = make()
        optimizer = optimizer_of(model)
        watching = Monitor(
            small_pack(),
            probes=(StatementProbe(naysaying_items=0),),
            confirm=confirmation(),
            run=name,
            output_dir=folder / "runs",
            exporters=(),
        )
        watching.begin(model, tiny_tokenizer(), planned_steps=3)
        for step in (1, 2, 3):
            train_step(model, optimizer, step)
            with fault(layer(inner(model), 1).mlp, on_call=1) if step == 2 else nullcontext():
                try:
                    watching.observe(model, step)
                except ProbeError as err:
                    outcome[f"{name}_failure"] = str(err)
                    watching.fail(step, err)
        watching.close("finished")
        outcome[name] = weights(model)
    return outcome


def outcome_of(scenario, folder):
    folder = folder / scenario.__name__
    try:
        return scenario(folder) if signature(scenario).parameters else scenario()
    except Exception:  # noqa: BLE001 - the test shows it
        return {"error": traceback.format_exc()}


def main(folder, *scenarios):
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = dist.FileStore(f"{folder}/store", world)
    backend = "gloo"
    if scenarios[0].startswith("gpu"):
        backend = "nccl"
        torch.cuda.set_device(rank)
    else:
        torch.use_deterministic_algorithms(True)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=TIMEOUT)
    found = {scenario: outcome_of(globals()[scenario], Path(folder)) for scenario in scenarios}
    Path(folder, f"found-{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
