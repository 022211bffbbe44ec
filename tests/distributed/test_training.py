"""driftwatch inside training on several ranks: with replicas, sharded by FSDP2, by hand and in TRL's DPOTrainer."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from driftwatch import RunStore
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer
from driftwatch.watch.monitor import Monitor

FAILURE = "an observation was abandoned on all ranks, since it failed on rank 1: RuntimeError: no memory on this rank"


def scores(store, look):
    """Nats a token of every stance of every item, in both orders."""
    stances = next(found.stances for found in store.look_stances() if found.look == look)
    return np.array([stance.scores_by_order for stance in stances], float)


def test_monitor_finds_on_sharded_ranks_what_one_process_finds(quick, tmp_path):
    outcomes, folder = quick["monitor"], quick["folder"] / "monitor" / "runs"
    assert outcomes[0] == outcomes[1]
    topics = tuple(replace(topic, items=topic.items[:2]) for topic in tiny_pack())  # as in scenarios.small_pack
    pack, probe = replace(tiny_pack(), topics=topics), StatementProbe(naysaying_items=0)
    alone = Monitor(pack, probes=(probe,), run="alone", output_dir=tmp_path, exporters=())
    alone.begin(tiny_model(tiny_tokenizer()).train(), tiny_tokenizer())
    alone.close("finished")
    expected = scores(alone.store, 0)
    for kind in ("ddp", "fsdp2", "fsdp1"):
        np.testing.assert_allclose(scores(RunStore(folder / kind), 0), expected, atol=1e-4)
    # Later observations see weights that both kinds of training have moved alike.
    last = [scores(RunStore(folder / kind), 3) for kind in ("ddp", "fsdp2", "fsdp1")]
    np.testing.assert_allclose(last[1], last[0], atol=1e-4)
    np.testing.assert_allclose(last[2], last[0], atol=1e-4)
    assert np.abs(last[0] - expected).max() > 1e-3


def test_monitor_goes_on_after_a_look_that_failed_on_one_rank(quick):
    for kind in ("ddp", "fsdp2", "fsdp1"):
        assert [outcome[f"{kind}_failure"] for outcome in quick["monitor"]] == [FAILURE, FAILURE]
        records = RunStore(quick["folder"] / "monitor" / "runs" / kind).records()
        assert [record.step for record in records] == [0, 1, 2, 3]
        assert [bool(record.failures) for record in records] == [False, False, True, False]


def test_replies_are_drawn_on_all_ranks_and_counted_once(quick):
    for kind in ("ddp", "fsdp2", "fsdp1"):
        records = RunStore(quick["folder"] / "monitor" / "runs" / kind).records()
        # Three observations, one of which failed before anything was drawn; five draws of each topic at an observation.
        assert {each.num_draws for each in records[-1].evidence if each.kind == "direction"} == {10}


def test_only_rank_zero_writes(quick):
    """One folder a run, each observation in it once, and no second one beside it."""
    folder = quick["folder"] / "monitor" / "runs"
    assert sorted(os.listdir(folder)) == ["ddp", "fsdp1", "fsdp2"]
    assert RunStore(folder / "ddp").info().num_processes == 2


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "wrapper"), [("dpo_ddp", "DistributedDataParallel"), ("dpo_fsdp2", "FSDPModule")])
def test_dpo_with_a_rank_that_fails_in_mid_look_ends_with_the_same_weights(on_ranks, scenario, wrapper):
    folder, found = on_ranks((scenario,))
    assert_watched_and_unchanged(folder / scenario, found[scenario], wrapper)


# Nothing here has two GPUs, so these have never run; DDP, FSDP1, FSDP2 and ZeRO are shown on the CPU instead.
@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize(
    ("scenario", "wrapper"),
    [
        ("gpu_fsdp2", "FSDPModule"),
        ("gpu_fsdp1", "FullyShardedDataParallel"),
        ("gpu_zero2", "DeepSpeedEngine"),
        ("gpu_zero3", "DeepSpeedEngine"),
    ],
)
def test_dpo_on_devices_ends_with_the_same_weights(on_ranks, scenario, wrapper):
    if wrapper == "DeepSpeedEngine":
        pytest.importorskip("deepspeed")
    folder, found = on_ranks((scenario,))
    assert_watched_and_unchanged(folder / scenario, found[scenario], wrapper)


def assert_watched_and_unchanged(folder, outcomes, wrapper):
    for outcome in outcomes:
        assert wrapper in outcome["wrapped"]
        assert outcome["watched"] == outcome["plain"]
    assert outcomes[0]["watched"]["weights"] == outcomes[1]["watched"]["weights"]
    records = RunStore(folder / "runs" / "shared").records()
    assert [(record.step, bool(record.failures)) for record in records] == [
        (0, False),
        (1, False),
        (2, True),
        (3, False),
    ]
    assert records[-1].cost.failures_total == {"monitor/RanksError": 1}
