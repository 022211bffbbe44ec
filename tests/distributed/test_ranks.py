"""Ranks stay in step, whatever happens to one of them."""

import importlib.util

import pytest


def test_ranks_agree_and_a_failure_on_one_is_known_to_all(quick):
    first, second = quick["agreement"]
    assert (first["ranks"], second["ranks"]) == ([2, 0], [2, 1])
    assert first["broadcast"] == second["broadcast"] == {"from": 0}
    assert first["together"] == second["together"] == [0, 10]
    failure = (
        "RanksError: an observation was abandoned on all ranks, since it failed on rank 1: ValueError: this rank is "
        "out of luck"
    )
    assert first["failure"] == second["failure"] == failure
    assert first["same"] == "no error"
    assert "the plan must be the same on every rank; found digest0 on rank 0, digest1 on rank 1" in first["different"]
    assert first["different"] == second["different"]
    assert first["afterwards"] == second["afterwards"] == [0, 1]


@pytest.mark.parametrize("kind", ["fsdp2", "fsdp1"])
def test_rank_that_raises_in_mid_look_neither_hangs_the_others_nor_changes_training(quick, kind):
    """Wherever it fails, both abandon the observation, and training ends with the same weights, bit for bit."""
    assert_abandoned_and_unchanged(*(outcome[kind] for outcome in quick["failures"]))


# DeepSpeed is no dependency of ours, and needs a C++ compiler.
@pytest.mark.nightly
@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs deepspeed")
@pytest.mark.parametrize("kind", ["zero2", "zero3"])
def test_rank_that_raises_in_mid_look_is_made_up_for_under_deepspeed(zero, kind):
    assert_abandoned_and_unchanged(*(outcome[kind] for outcome in zero["failures"]))


def assert_abandoned_and_unchanged(first, second):
    assert first == second
    expected = first["without observations"]["weights"]
    abandoned = (
        "RanksError: an observation was abandoned on all ranks, since it failed on rank 1: RuntimeError: no memory on "
        "this rank"
    )
    for case, outcome in first.items():
        assert outcome["weights"] == expected, case
        said = {"without observations": None, "without failure": "no error"}.get(case, abandoned)
        assert outcome["said"] == [said] * 3, case
