"""The peak of an observation is stated, and what is stated is measured."""

from dataclasses import replace

import pytest
import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile

from driftwatch.scoring.memory import SHARE_OF_MODEL, footprint, is_out_of_memory, model_bytes
from driftwatch.scoring.plan import plan
from driftwatch.scoring.score import score


def peak_bytes(run):
    """The most that was allocated at once beyond what was there before, as the allocator saw it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    allocations = sorted(
        (event.start_time_ns, event.extra_fields.alloc_size)
        for event in _walk(recorded.profiler.kineto_results.experimental_event_tree())
        if event.tag == _EventType.Allocation
    )
    held = peak = 0
    for _, size in allocations:
        held += size
        peak = max(peak, held)
    return peak


def _walk(events):
    for event in events:
        yield event
        yield from _walk(event.children)


def test_the_meter_sees_what_lives_at_once():
    def two_megabytes_at_once():
        for _ in range(3):
            first = torch.empty(2**20, dtype=torch.uint8)
            second = torch.empty(2**20, dtype=torch.uint8)
            del first, second

    assert peak_bytes(two_megabytes_at_once) == 2**21


WIDE = {"hidden_size": 128, "head_dim": 32, "intermediate_size": 384, "num_hidden_layers": 3}


@pytest.mark.parametrize(
    ("kind", "attention"),
    [("llama", "sdpa"), ("llama", "eager"), ("gemma3", "sdpa"), ("gemma3", "eager"), ("mixtral", "sdpa")],
)
def test_a_look_stays_below_the_stated_peak(kind, attention, build_model, make_requests):
    changes = {**WIDE, "num_hidden_layers": 4} if kind == "gemma3" else WIDE
    model = build_model(kind, attention, **changes)
    planned = plan(make_requests(count=60), model, max_tokens=1024, max_bytes=2**24)
    assert planned.peak_bytes <= 2**24
    assert peak_bytes(lambda: score(model, planned)) < planned.peak_bytes


@pytest.mark.usefixtures("needs_repeated_states")
def test_on_the_cache_path_a_look_stays_below_the_stated_peak(build_model, make_requests):
    model = build_model("lfm2", hidden_size=128, head_dim=32, intermediate_size=384)
    planned = plan(make_requests(count=60), model, max_tokens=1024, max_bytes=2**24)
    assert planned.path == "cache"
    assert peak_bytes(lambda: score(model, planned)) < planned.peak_bytes


def test_a_large_vocabulary_makes_batches_smaller_and_not_the_peak_larger(build_model, make_requests):
    requests = make_requests(count=60)
    small, large = (plan(requests, build_model("llama", vocab_size=size), max_bytes=2**26) for size in (97, 50_000))
    assert large.layout.largest < small.layout.largest
    model = build_model("llama", vocab_size=50_000)
    assert peak_bytes(lambda: score(model, large)) < large.peak_bytes


def test_attention_that_keeps_its_scores_is_reckoned_with(build_model):
    eager, sdpa = (
        footprint(build_model("llama", attention), logit_bytes=4, keeps_cache=False, additive_mask=False)
        for attention in ("eager", "sdpa")
    )
    assert eager.pair > sdpa.pair


def test_a_mention_of_memory_is_not_enough_to_be_out_of_it():
    assert not is_out_of_memory(RuntimeError("memory format mismatch"))
    assert not is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("tried to allocate 2 GiB"))


@pytest.mark.slow
def test_a_look_at_the_core_pack_takes_less_than_a_quarter_of_smollm2():
    """The peak is that of the largest forward passes, so those are run, not the whole bank of a thousand prompts."""
    from driftwatch.host.smollm2 import load_smollm2
    from driftwatch.probes.statement import StatementProbe
    from driftwatch.topics import load_pack

    model, tokenizer = load_smollm2()
    probe = StatementProbe()
    probe.prepare(model, tokenizer, load_pack("core"))
    assert sum(len(planned.requests) for planned in probe.plans) > 1300
    assert max(planned.peak_bytes for planned in probe.plans) <= SHARE_OF_MODEL * model_bytes(model)
    worst = max(probe.plans, key=lambda planned: planned.peak_bytes)
    measured = peak_bytes(lambda: score(model, _largest_passes(worst)))
    assert measured < 0.25 * model_bytes(model)


def _largest_passes(planned, number=2):
    def cost(group, batch):
        return max(planned.footprint.of(size) for size in batch.sizes(len(group.stem)))

    groups = tuple(
        group._replace(batches=tuple(sorted(group.batches, key=lambda batch, g=group: -cost(g, batch))[:number]))
        for group in planned.layout.groups
    )
    return replace(planned, layout=replace(planned.layout, groups=groups))
