"""How a model is called is found by trying, and the trial notices what would give wrong numbers."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from driftwatch.errors import ProbeError
from driftwatch.scoring import capability
from driftwatch.scoring.capability import _resolution, choose_way
from driftwatch.scoring.forward import Way


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


def _overflows(model, longer_than):
    """Inputs longer than this give no finite logits."""

    def overflow(module, args, kwargs, out):
        if kwargs["input_ids"].shape[1] > longer_than:
            out.logits[:] = float("nan")
        return out

    model.register_forward_hook(overflow, with_kwargs=True)
    return model


def test_a_request_that_overflows_is_replaced_by_another(build_model, requests):
    longest = max(map(capability.deepest, requests))
    model = _overflows(build_model("llama"), longest - 2)
    with torch.no_grad():
        sample = capability._sampled(model, Way("plain"), requests)
    assert np.isfinite(sample.certain).all()
    assert longest not in map(capability.deepest, sample.requests)


def test_a_model_without_any_finite_logits_is_asked_alone(build_model, requests, caplog):
    chosen = choose_way(_overflows(build_model("llama"), 0), requests)
    assert chosen.way.path == "alone"
    assert np.isnan(chosen.deviation)
    assert "no question gave finite logits" in caplog.text


def _other_beside_others(model, *, by_length):
    """Numbers that depend on how many rows, or on how much padding, a batch has."""

    def other(module, args, kwargs, out):
        ids = kwargs["input_ids"]
        padded = bool((ids[:, -1] == 0).any())
        if padded if by_length else len(ids) > 1:
            out.logits[..., 5] += 3.0
        return out

    model.register_forward_hook(other, with_kwargs=True)
    return model


def test_what_padding_changes_is_asked_in_rows_of_equal_length(build_model, requests, monkeypatch):
    monkeypatch.setattr(capability, "_faster_ways", lambda *_: [])
    assert choose_way(_other_beside_others(build_model("llama"), by_length=True), requests).way.path == "even"


def test_what_other_rows_change_is_asked_alone_however_much_batching_changes(build_model, requests, caplog):
    chosen = choose_way(_other_beside_others(build_model("llama"), by_length=False), requests)
    assert chosen.way.path == "alone"
    assert chosen.deviation < 1e-4 < 0.1 < chosen.noise
    assert "each is asked alone" in caplog.text


def test_a_model_that_is_random_in_eval_mode_is_refused(build_model, requests):
    model = build_model("llama")

    def random(module, args, out):
        out.logits += torch.randn_like(out.logits)

    model.register_forward_hook(random)
    with pytest.raises(ProbeError, match="random, or depends on what was asked before"):
        choose_way(model, requests)


def test_a_model_that_looks_ahead_is_not_asked_as_if_it_did_not(build_model, requests):
    model = build_model("llama")
    for layer in model.model.layers:
        layer.self_attn.is_causal = False
    model.config.is_causal = False
    try:
        assert choose_way(model, requests).way.path in ("even", "alone")
    except ProbeError as err:
        assert "looks ahead" in str(err)  # noqa: PT017 - either is right


@pytest.mark.parametrize("width", [32, 500])
def test_hidden_states_in_the_place_of_logits_are_told_apart(width, build_model, requests):
    model = build_model("llama")
    model.lm_head.forward = lambda hidden: torch.zeros(*hidden.shape[:-1], width)
    with pytest.raises(ProbeError, match=rf"over a vocabulary of 97 tokens .* found rows of {width}"):
        choose_way(model, requests)


def test_a_cache_argument_of_another_name_is_found(build_model, requests):
    model = build_model("llama")
    inner = model.forward
    own = "cache" if "cache" in inspect.signature(inner).parameters else "past_key_values"  # transformers 5.24

    def forward(input_ids, cache_params=None, **kwargs):
        assert not {"past_key_values", "cache"} & kwargs.keys()
        return inner(input_ids, **{own: cache_params}, **kwargs)

    model.forward = forward
    way = choose_way(model, requests).way
    assert (way.path, way.cache_name) == ("tree", "cache_params")


def test_a_forward_that_takes_no_word_about_caches_is_asked_without(build_model, requests):
    model = build_model("llama")
    inner = model.forward
    model.forward = lambda input_ids: inner(input_ids)
    way = choose_way(model, requests).way
    assert (way.path, way.caches, way.trims, way.extras) == ("plain", False, False, {})


def test_a_forward_that_returns_a_plain_dict_is_asked_as_trainers_take_it(build_model, requests):
    model = build_model("llama")
    inner = model.forward
    model.forward = lambda *args, **more: dict(inner(*args, **{**more, "use_cache": False}))
    assert choose_way(model, requests).deviation < 1e-3
