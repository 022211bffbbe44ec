import numpy as np
import pytest

from driftwatch.drift.compare import compare
from driftwatch.stance import Probs, Stance


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def bank(probs, topic="work", num_items=6, probe="reply", **figures):
    return [Stance(topic, f"{topic}-{i}", probe, probs=Probs(*probs), **figures) for i in range(num_items)]


def test_a_known_shift_is_found_in_every_figure(rng):
    (drift,) = compare(bank([0.2, 0.3, 0.5]), bank([0.5, 0.3, 0.2]), against="sft", rng=rng)
    assert drift.magnitude == pytest.approx((0.3, 0.0, -0.3))
    assert drift.total_variation == pytest.approx(0.3)
    assert drift.wasserstein == pytest.approx(0.6)
    assert drift.score_shift == pytest.approx(0.6)
    assert drift.flipped_ratio == 1.0
    assert (drift.baseline, drift.num_items, drift.num_unscored, drift.unscored) == ("sft", 6, 0, None)


def test_identical_looks_have_no_drift_and_an_interval_that_knows_how_few_items_there_are(rng):
    few, many = (
        compare(bank([0.2, 0.3, 0.5], num_items=n), bank([0.2, 0.3, 0.5], num_items=n), against="start", rng=rng)[0]
        for n in (6, 60)
    )
    assert few.score_shift == many.score_shift == 0.0
    assert few.interval.contains(0.0)
    assert many.interval.contains(0.0)
    assert many.interval.upper < 0.2 < few.interval.upper


def test_the_screen_is_compared_before_any_calibration(rng):
    def screen(log_odds):
        return [Stance("work", f"w{i}", "statement", log_odds=x) for i, x in enumerate(log_odds)]

    before, after = [0.1, -0.1, 0.2, 0.3, -0.2], [-0.3, -0.5, -0.2, -0.1, -0.6]
    (many,) = compare(
        screen(before * 8), screen([x - 0.01 * i for i, x in enumerate(after * 8)]), against="sft", rng=rng
    )
    assert many.log_odds_interval.upper < 0
    assert many.items_needed is None
    (drift,) = compare(screen(before), screen(after), against="sft", rng=rng)
    assert drift.log_odds_shift == pytest.approx(-0.4)
    assert (drift.log_odds_interval, drift.items_needed) == (None, 30), "nats have no limits; few items say too little"
    assert drift.flipped_ratio == pytest.approx(3 / 5)
    assert drift.magnitude is None
    assert drift.unscored is None


def test_items_are_paired_by_id_and_not_by_position(rng):
    base = [Stance("work", str(i), "reply", probs=Probs(i / 10, 0, 1 - i / 10)) for i in range(8)]
    (drift,) = compare(base, base[::-1], against="sft", rng=rng)
    assert drift.score_shift == 0.0


def test_a_rotated_subset_is_compared_with_the_same_items_of_the_baseline(rng):
    base = [*bank([0.2, 0.3, 0.5], num_items=3), Stance("work", "other", "reply", probs=Probs(1, 0, 0))]
    (drift,) = compare(base, bank([0.2, 0.3, 0.5], num_items=3), against="sft", rng=rng)
    assert drift.score_shift == 0.0
    assert drift.num_items == 3


def test_unscored_items_are_counted_and_left_out_on_both_sides(rng):
    now = [*bank([0.5, 0.3, 0.2], num_items=5), Stance("work", "work-5", "reply", unscored="all replies unclassified")]
    (drift,) = compare(bank([0.2, 0.3, 0.5]), now, against="sft", rng=rng)
    assert (drift.num_items, drift.num_unscored) == (6, 1)
    assert drift.score_shift == pytest.approx(0.6)


def test_nothing_measured_is_none_with_the_commonest_reason(rng):
    now = [Stance("work", f"work-{i}", "reply", unscored="NaN logits" if i else "out of memory") for i in range(6)]
    (drift,) = compare(bank([0.2, 0.3, 0.5]), now, against="sft", rng=rng)
    assert (drift.magnitude, drift.score_shift, drift.interval, drift.flipped_ratio) == (None,) * 4
    assert drift.unscored == "NaN logits"


def test_a_nan_counts_as_unscored_instead_of_spoiling_the_topic(rng):
    now = [*bank([0.5, 0.3, 0.2])[:5], Stance("work", "work-5", "reply", probs=Probs(float("nan"), 0, 0))]
    (drift,) = compare(bank([0.2, 0.3, 0.5]), now, against="sft", rng=rng)
    assert drift.score_shift == pytest.approx(0.6)
    assert drift.num_unscored == 1


def test_a_topic_that_this_look_did_not_ask_says_so(rng):
    base = bank([0.2, 0.3, 0.5]) + bank([0.2, 0.3, 0.5], topic="climate")
    work, climate = compare(base, bank([0.2, 0.3, 0.5]), against="sft", rng=rng)
    assert work.unscored is None
    assert climate.unscored == "not asked at this observation"


def test_a_topic_that_the_baseline_lacks_says_so(rng):
    (drift,) = compare([], bank([0.2, 0.3, 0.5]), against="sft", rng=rng)
    assert drift.unscored == "not in the baseline"
    assert drift.num_unscored == drift.num_items == 6


def test_sides_that_measured_different_items_say_so(rng):
    base = [Stance("work", "a", "reply", probs=Probs(1, 0, 0)), Stance("work", "b", "reply")]
    now = [Stance("work", "a", "reply"), Stance("work", "b", "reply", probs=Probs(1, 0, 0))]
    (drift,) = compare(base, now, against="sft", rng=rng)
    assert "both at this observation and in the baseline" in drift.unscored


def test_style_stands_beside_stance(rng):
    base = bank([0.2, 0.3, 0.5], naysaying=0.4, refusal=0.0, unread=0.1)
    now = bank([0.2, 0.3, 0.5], naysaying=0.9, refusal=0.25, unread=0.1)
    (drift,) = compare(base, now, against="sft", rng=rng)
    assert drift.naysaying_shift == pytest.approx(0.5)
    assert drift.refusal_shift == pytest.approx(0.25)
    assert drift.unread_shift == 0.0
    assert drift.score_shift == 0.0


def test_topics_and_probes_are_kept_apart(rng):
    base = bank([0.2, 0.3, 0.5]) + bank([0.2, 0.3, 0.5], probe="statement") + bank([1, 0, 0], topic="climate")
    now = bank([0.5, 0.3, 0.2]) + bank([0.2, 0.3, 0.5], probe="statement") + bank([1, 0, 0], topic="climate")
    shifts = {(d.topic, d.probe): d.score_shift for d in compare(base, now, against="sft", rng=rng)}
    assert shifts == {("work", "reply"): pytest.approx(0.6), ("work", "statement"): 0.0, ("climate", "reply"): 0.0}


def test_an_item_measured_twice_is_refused(rng):
    with pytest.raises(ValueError, match='found "work-0" of topic "work" twice'):
        compare(bank([1, 0, 0]), bank([1, 0, 0]) * 2, against="sft", rng=rng)
