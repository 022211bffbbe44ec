"""The engine on a CUDA device: the same numbers, the stated peak, and no waiting on the way."""

import warnings

import pytest
import torch

from driftwatch.scoring.plan import plan
from driftwatch.scoring.score import score

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ROOMY = {"max_tokens": 512, "max_bytes": 2**26}


@pytest.fixture(autouse=True)
def exact_products(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3", "mixtral"])
def test_scores_are_exact(kind, attention, build_model, requests, score_alone, largest_difference):
    model = build_model(kind, attention).cuda()
    planned = plan(requests, model, **ROOMY)
    assert planned.path == "tree"
    assert largest_difference(score(model, planned).log_likelihoods, score_alone(model, requests)) < 1e-4


def test_flash_attention_goes_by_the_cache(build_model, requests, score_alone, largest_difference):
    pytest.importorskip("flash_attn", reason="needs the package flash-attn")
    model = build_model("llama", "flash_attention_2").cuda().bfloat16()
    planned = plan(requests, model, **ROOMY)
    assert planned.path == "cache"
    assert largest_difference(score(model, planned).log_likelihoods, score_alone(model, requests)) < 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_look_stays_below_the_stated_peak(dtype, build_model, make_requests):
    wide = {"hidden_size": 512, "head_dim": 64, "num_attention_heads": 8, "intermediate_size": 1536}
    model = build_model("llama", vocab_size=50_000, **wide).to("cuda", dtype)
    planned = plan(make_requests(count=200), model, max_bytes=2**28)
    score(model, planned)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    score(model, planned)
    assert torch.cuda.max_memory_allocated() - before < planned.peak_bytes


def test_two_looks_at_the_same_weights_are_equal_to_the_last_bit(build_model, requests):
    model = build_model("llama").cuda()
    planned = plan(requests, model, **ROOMY)
    for first, second in zip(score(model, planned)[0], score(model, planned)[0], strict=True):
        assert (first == second).all()


@pytest.fixture
def waits():
    """Counts the calls that wait for the device while some work runs."""

    def count(work):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                work()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("called a synchronizing CUDA operation" in str(warning.message) for warning in caught)

    assert count(lambda: torch.ones(3, device="cuda").tolist()) == 1
    return count


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])
def test_the_screen_waits_for_the_device_once(kind, build_model, make_requests, waits):
    """What it has read comes to the host in one transfer; until then batches only queue up."""
    model = build_model(kind).cuda()
    planned = plan(make_requests(count=60), model, max_tokens=512)
    assert planned.num_forwards > 3
    assert waits(lambda: score(model, planned)) == 1
