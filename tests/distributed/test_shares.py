"""Ranks share the work of an observation, and find what one process would find."""

import importlib.util

import numpy as np
import pytest


def largest_difference(a, b):
    return max(np.abs(np.array(x) - np.array(y)).max() for x, y in zip(a, b, strict=True))


def test_ranks_find_what_one_process_finds_for_half_the_work(quick):
    assert_equal_for_less(quick["scoring"], ("ddp", "fsdp2", "fsdp1"))


@pytest.mark.nightly
@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs deepspeed")
def test_ranks_find_under_deepspeed_what_one_process_finds(zero):
    assert_equal_for_less(zero["scoring"], ("zero2", "zero3"))


def assert_equal_for_less(outcomes, kinds):
    for outcome in outcomes:
        alone = outcome["alone"]["scores"]
        assert np.isfinite(np.concatenate(alone)).all()
        for kind in kinds:
            assert outcome[f"{kind}_digest"], "the batches are those of a single process"
            assert largest_difference(outcome[kind]["scores"], alone) < 1e-4
            assert outcome[f"{kind}_tokens"] < 0.65 * outcome["alone_tokens"]
    assert outcomes[0]["ddp"] == outcomes[1]["ddp"]


def test_rank_that_runs_out_of_memory_makes_all_use_smaller_batches(quick):
    for outcome in quick["out_of_memory"]:
        for kind in ("ddp", "fsdp2", "fsdp1"):
            assert outcome[kind]["whole"]["splits"] == 0
            assert outcome[kind]["divided"]["splits"] > 0
            assert largest_difference(outcome[kind]["divided"]["scores"], outcome[kind]["whole"]["scores"]) < 1e-4
            assert "ProbeError" in outcome[kind]["never"]
            assert "out of memory" in outcome[kind]["never"]


def test_work_is_spread_and_comes_back_in_order(quick):
    first, second = quick["spreading"]
    assert first["results"] == second["results"] == [10, 20, 30, 40, 50]
    assert (first["mine"][0], second["mine"][0]) == ([1, 3, 5], [2, 4, 1])
    assert first["single"] == second["single"] == [70]
    assert first["failure"] == second["failure"]
    assert "rank 0: ZeroDivisionError" in first["failure"]
    assert first["nothing"] == second["nothing"] == []
