"""What two measurements must share, and how a model is known again."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.errors import BaselineError
from driftwatch.host.identity import (
    OTHER_DTYPE,
    OTHER_KERNELS,
    check_comparable,
    model_identity,
    recognise,
    rounding_moved,
    same_model,
)

THEN = (-2.0, -10.0)
KERNELS = {"kernels": ("an A100", "an H100")}
DTYPE = {"dtype": ("float32", "bfloat16")}


@pytest.mark.parametrize("moved", [{}, KERNELS, DTYPE], ids=["same place", "other kernels", "other dtype"])
def test_a_model_that_says_the_same_is_the_same_and_nothing_needs_saying(moved):
    assert recognise(THEN, THEN, moved) == (True, None)


@pytest.mark.parametrize(
    ("moved", "limit"),
    [({}, 0.0), (KERNELS, OTHER_KERNELS), (DTYPE, OTHER_DTYPE), ({**DTYPE, **KERNELS}, OTHER_DTYPE)],
    ids=["same place", "other kernels", "other dtype", "both"],
)
@pytest.mark.parametrize("by", [2e-4, 0.005, 0.015, 0.03])
def test_rounding_excuses_a_difference_only_where_something_rounds_otherwise(moved, limit, by):
    found = recognise(THEN, tuple(value * (1 + by) for value in THEN), moved)
    assert found.is_same is (by <= limit)
    assert f"differ from those when the run began by {by:.2%}" in found.note
    assert all(part in found.note for part in moved)


def test_a_light_adapter_merged_into_the_base_is_another_model_where_the_kernels_are_the_same(tiny_tokenizer):
    """0.02 of the mean, as rounding elsewhere may move it, would let it pass."""
    import torch

    from driftwatch.host.guard import undisturbed
    from driftwatch.testing import tiny_model, tiny_pack
    from driftwatch.watch.instrument import Instrument

    model = tiny_model(tiny_tokenizer)
    asking = Instrument(tiny_pack())
    with undisturbed(model, tokenizer=tiny_tokenizer) as asked:
        asking.prepare(asked, tiny_tokenizer)
        then, again = asking.fingerprint(asked), asking.fingerprint(asked)
        with torch.no_grad():
            weight = model.model.layers[0].mlp.down_proj.weight
            weight += 0.05 * torch.randn(32, 1, generator=torch.Generator().manual_seed(0)) @ torch.ones(1, 64) / 8
        merged = asking.fingerprint(asked)
    assert recognise(then, again, {}) == (True, None)
    assert not recognise(then, merged, {}).is_same
    assert recognise(then, merged, DTYPE).is_same, "so light that another dtype would hide it"


@pytest.mark.parametrize("now", [(-2.0,), (), (-2.0, float("nan"))], ids=["another pack", "out of reach", "broken"])
def test_what_cannot_be_asked_is_not_the_same(now):
    assert recognise(THEN, now, DTYPE).note == "the baseline model that the run began with cannot be asked any more"
    assert not recognise(THEN, now, DTYPE).is_same


def test_a_run_that_asks_no_baseline_has_nothing_to_recognise():
    assert recognise((), (), {}) == (True, None)


@given(st.lists(st.floats(-100, -0.1), min_size=1, max_size=20), st.integers(0, 100))
def test_numeric_noise_is_never_another_model(values, seed):
    noise = 1 + 1e-6 * np.random.default_rng(seed).uniform(-1, 1, len(values))
    assert same_model(values, (np.array(values) * noise).tolist())
    assert recognise(values, (np.array(values) * noise).tolist(), {}).is_same


def test_what_decides_about_rounding_is_part_of_a_model_s_identity(tiny_llama):
    here = model_identity(tiny_llama)
    assert (here["dtype"], here["kernels"].split(" ")[0]) == ("float32", "cpu")
    assert rounding_moved(here, model_identity(tiny_llama)) == {}
    assert rounding_moved(here, model_identity(tiny_llama.bfloat16())) == {"dtype": ("float32", "bfloat16")}


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state:UserWarning")
def test_a_model_with_sparse_parameters_has_an_identity():
    model = torch.nn.Module()
    found = set()
    for scale in (1.0, 2.0):
        for sparse in (torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr, torch.Tensor.to_sparse_csc):
            model.weight = torch.nn.Parameter(sparse(scale * torch.eye(4)), requires_grad=False)
            found.add((scale, model_identity(model)["weights"]))
    assert len({weights for _, weights in found}) >= 2
    assert not {weights for scale, weights in found if scale == 1} & {weights for scale, weights in found if scale == 2}


def test_the_precision_that_accelerate_computes_in_is_part_of_the_kernels(tiny_llama):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        before = model_identity(tiny_llama)
        Accelerator(cpu=True, mixed_precision="bf16")
        assert rounding_moved(before, model_identity(tiny_llama)) == {
            "kernels": (before["kernels"], before["kernels"].replace("precision no", "precision bf16"))
        }
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_a_baseline_that_does_not_know_its_kernels_may_come_from_anywhere():
    ours = {"dtype": "float32", "attention": "sdpa", "kernels": "an H100"}
    older = {"dtype": "float32", "attention": "sdpa"}
    assert rounding_moved(older, ours) == {"kernels": ("unknown", "an H100")}


def test_kernels_explain_and_forbid_nothing():
    check_comparable({"kernels": "an A100", "weights": "1"}, {"kernels": "an H100", "weights": "2"}, whose="sft")
    with pytest.raises(BaselineError, match="the judge differs"):
        check_comparable({"confirm/judge": "a"}, {"confirm/judge": "b"}, whose="sft")


def test_a_baseline_from_before_is_accepted_where_its_tokens_are_the_same_and_refused_where_they_are_not():
    """It names no source of a template, and of answers only whether a space stood before them."""
    from support.border_tokenizers import border_tokenizer

    from driftwatch.chat.format import ChatFormat
    from driftwatch.testing import CHAT_TEMPLATE

    same = ChatFormat(border_tokenizer("bytes", CHAT_TEMPLATE)).identity()
    check_comparable({"template": same["template"], "leading_space": "false"}, same, whose="old")
    other = ChatFormat(border_tokenizer("prepended", CHAT_TEMPLATE)).identity()
    with pytest.raises(BaselineError, match="the tokens in which answers follow a question"):
        check_comparable({"template": other["template"], "leading_space": "false"}, other, whose="old")
    with pytest.raises(BaselineError, match="the text of the chat template"):
        check_comparable({**same, "template_source": "another"}, same, whose="new")
