"""How a model is called is found by trying, and the trial notices what would give wrong numbers."""

from dataclasses import replace

import pytest
import torch

from driftwatch.probes import capability
from driftwatch.probes.capability import _resolution, choose_way


def test_a_mixture_of_experts_is_not_asked_for_its_router_loss(build_model, requests):
    assert choose_way(build_model("mixtral"), requests).way.extras == {
        "return_dict": True,
        "output_router_logits": False,
    }


@pytest.mark.parametrize(("attention", "mask"), [("sdpa", "bool"), ("eager", "additive")])
def test_each_attention_gets_the_mask_it_takes(attention, mask, build_model, requests):
    assert choose_way(build_model("llama", attention), requests).way.mask == mask


def test_eager_attention_with_a_mask_of_bits_is_wrong_and_noticed(build_model, requests, monkeypatch):
    """Eager attention adds its mask to the scores: bits would hide nothing, and no error would say so."""
    monkeypatch.setattr(capability, "_faster_ways", _only(mask="bool"))
    assert choose_way(build_model("llama", "eager"), requests).way.path == "plain"


def test_a_window_that_is_forgotten_is_wrong_and_noticed(build_model, requests, monkeypatch):
    monkeypatch.setattr(capability, "_faster_ways", _only(windows=(("", 0),)))
    assert choose_way(build_model("gemma3"), requests).way.path == "plain"


def test_a_window_in_the_config_that_the_model_ignores_is_not_believed(build_model, requests):
    model = build_model("llama")
    model.config.sliding_window = 6
    chosen = choose_way(model, requests)
    assert chosen.way.path == "tree"
    assert chosen.way.windows == (("", 0),)


def test_layers_that_look_back_differently_get_their_own_masks(build_model, requests):
    windows = choose_way(build_model("gemma3"), requests).way.windows
    assert windows == (("full_attention", 0), ("sliding_attention", 6))


def test_a_window_longer_than_every_prompt_needs_no_mask_of_its_own(build_model, requests):
    model = build_model("gemma3")
    model.config.sliding_window = 500
    assert choose_way(model, requests).way.windows == (("", 0),)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_seen_in_the_values_whatever_type_they_have(dtype):
    rough = torch.randn(3, 100, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert _resolution(rough.float()) == _resolution(rough) == torch.finfo(dtype).eps
    assert _resolution(torch.randn(3, 100)) == torch.finfo(torch.float32).eps


@pytest.mark.parametrize("kind", ["llama", "gemma3", "mixtral"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("seed", range(3))
def test_in_bfloat16_right_masks_pass_and_wrong_ones_do_not(
    kind, attention, seed, build_model, make_requests, monkeypatch
):
    requests, model = make_requests(seed=seed), build_model(kind, attention).bfloat16()
    chosen = choose_way(model, requests).way
    assert chosen.path == "tree"
    right = "additive" if attention == "eager" else "bool"
    wrong = {"mask": "bool"} if attention == "eager" else {"mask": right, "windows": (("", 3),)}
    monkeypatch.setattr(capability, "_faster_ways", _only(**wrong))
    assert choose_way(model, requests).way.path == "plain"


def test_the_deviation_is_stated(build_model, requests):
    chosen = choose_way(build_model("llama"), requests)
    assert 0 <= chosen.deviation < 1e-4
    assert 0 <= chosen.noise < 1e-4


def _only(**changes):
    """Offers one way only, besides the plain one."""
    return lambda model, plain, sample: [replace(plain, path="tree", **changes)]
