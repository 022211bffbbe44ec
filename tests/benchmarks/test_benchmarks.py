"""What the benchmarks rest on: a fixed sample, a controller that keeps its budget, and a table."""

from collections import Counter

import pytest

from benchmarks.__main__ import ROWS, table
from benchmarks.bank import screen_requests, two_sided_items
from benchmarks.dpo import Stopwatch
from benchmarks.overhead import interval, simulate
from benchmarks.probe_scaling import enlarged
from driftwatch.scoring.trie import count_naive, count_unique
from driftwatch.topics import Item, load_pack


def test_the_sample_is_fixed_and_spread_over_topics_and_orders(tiny_tokenizer):
    first, again = (screen_requests(tiny_tokenizer, "quick", 64) for _ in range(2))
    assert first == again
    assert len(set(first)) == 64
    whole = screen_requests(tiny_tokenizer, "quick")
    assert set(first) <= set(whole)
    places = [whole.index(request) for request in first]
    assert sum(place % 2 for place in places) == 32  # half of them show the second side first
    topic_of = {item.id: topic.id for topic in load_pack("quick") for item in topic.items}
    counts = Counter(topic_of[item.id] for item in list(two_sided_items("quick"))[:64])
    assert len(counts) == len(load_pack("quick").topics)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_answers_are_three_frames_a_side_and_four_neutral_ones(tiny_tokenizer):
    assert {len(request.continuations) for request in screen_requests(tiny_tokenizer, "quick", 8)} == {10}


def test_the_screen_shares_most_of_its_tokens(tiny_tokenizer):
    requests = screen_requests(tiny_tokenizer, "quick", 16)
    assert count_naive(requests) > 3 * count_unique(requests)


def test_a_sample_larger_than_the_pack_is_a_wrong_argument(tiny_tokenizer):
    with pytest.raises(ValueError, match="found a sample of 100000"):
        screen_requests(tiny_tokenizer, "quick", 100_000)


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.20])
def test_the_controller_keeps_its_budget_and_uses_most_of_it(budget):
    found = simulate(budget)
    assert 0.9 * budget < found["overhead_ratio"] <= budget
    assert found["looks"] > 2


def test_an_enlarged_bank_has_no_item_twice():
    items = [Item(id=str(i), sides=(f"a{i}", f"b{i}")) for i in range(20)]
    bank = enlarged(items, 150)
    assert len({item.sides for item in bank}) == 150
    assert bank[:20] == items
    assert enlarged(items, 5) == items[:5]


def test_the_interval_is_students():
    """Four values with mean 2.5 and standard deviation 1.291: 3.18 × 1.291 / 2 = 2.05."""
    assert interval([1.0, 2.0, 3.0, 4.0]) == {"mean": 2.5, "lower": 0.45, "upper": 4.55}


@pytest.mark.parametrize(("skip", "seconds", "steps"), [(0, 16.0, 3), (1, 6.0, 2)])
def test_a_stopwatch_leaves_out_the_first_steps(monkeypatch, skip, seconds, steps):
    now = [0.0]
    monkeypatch.setattr("benchmarks.dpo._now", lambda: now[0])
    watch = Stopwatch(skip)
    for duration in (10.0, 3.0, 3.0):
        watch.on_step_begin(None, None, None)
        now[0] += duration
        watch.on_step_end(None, None, None)
    assert (watch.seconds, watch.steps) == (seconds, steps)


def test_the_table_has_a_row_for_each_claim_with_its_command():
    result = {
        "speedup_median": 5.6,
        "speedup_all": [5.5, 5.6, 5.8],
        "tokens_naive": 60_000,
        "tokens_computed": 12_100,
        "tokens_unique": 12_000,
        "max_abs_diff": 2e-4,
        "where": "here",
    }
    lines = table({"probe_vs_lm_eval": result})
    assert len(lines) == 2 + len(ROWS["probe_vs_lm_eval"]) + 2
    assert "60,000 / 12,100 / 12,000" in lines[3]
    assert all("`python -m benchmarks.probe_vs_lm_eval`" in line for line in lines[2:-2])
