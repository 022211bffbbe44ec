import numpy as np
import pytest

from driftwatch.drift.bounded import mean_bounds
from driftwatch.drift.interval import cluster_bootstrap


def coverage(intervals, truth=0.0):
    return np.mean([interval.contains(truth) for interval in intervals])


@pytest.mark.parametrize("num_items", [30, 50])
def test_interval_covers_at_least_as_stated(num_items):
    """Of normal figures, for which nothing must be put beside the items; others are in test_coverage.py."""
    rng = np.random.default_rng(num_items)
    found = [cluster_bootstrap(rng.normal(size=(num_items, 1)), rng, num_resamples=400)[0] for _ in range(800)]
    assert 0.94 <= coverage(found) <= 0.995


def test_with_few_items_the_limits_decide_or_nothing_is_said():
    values = np.random.default_rng(0).uniform(-0.2, 0.3, (12, 2))
    assert cluster_bootstrap(values, np.random.default_rng(0)) == [None, None]
    lower, upper = mean_bounds(values, 0.025)
    known = cluster_bootstrap(values, np.random.default_rng(0), limits=(-1, 1))
    assert [(one.lower, one.upper) for one in known] == list(zip(lower, upper, strict=True))


def test_a_resampled_interval_stays_within_the_limits():
    values = np.array([[1.0]] * 38 + [[0.0]] * 2)
    (interval,) = cluster_bootstrap(values, np.random.default_rng(0), limits=(0, 1))
    assert interval.upper == 1.0
    assert 0.5 < interval.lower < 0.95


def test_resampling_rows_instead_of_items_is_far_too_sure():
    """The reason for clusters: ten replies to one item are not ten items."""
    rng = np.random.default_rng(3)
    items = [f"item{i}" for i in range(30) for _ in range(10)]
    naive, clustered = [], []
    for _ in range(300):
        values = (rng.normal(size=30).repeat(10) + rng.normal(scale=0.3, size=300))[:, None]
        naive.append(cluster_bootstrap(values, rng)[0])
        clustered.append(cluster_bootstrap(values, rng, clusters=items)[0])
    assert coverage(naive) < 0.7
    assert coverage(clustered) > 0.9


def test_clusters_of_different_size_weigh_by_their_rows():
    values = np.array([[1.0]] * 90 + [[0.0]] * 40)
    clusters = ["big"] * 90 + [f"small{i}" for i in range(40)]
    (interval,) = cluster_bootstrap(values, np.random.default_rng(0), clusters=clusters)
    assert interval.lower < 0.3 < 0.8 < interval.upper, "whether the big one is drawn decides"


def test_same_generator_same_interval():
    values = np.random.default_rng(0).normal(size=(40, 2))
    first, again = (cluster_bootstrap(values, np.random.default_rng(5)) for _ in range(2))
    assert first == again


def test_a_lower_level_gives_a_narrower_interval():
    values = np.random.default_rng(0).normal(size=(40, 1))
    (wide,), (narrow,) = (cluster_bootstrap(values, np.random.default_rng(1), level=x) for x in (0.95, 0.5))
    assert narrow.upper - narrow.lower < wide.upper - wide.lower
    assert narrow.level == 0.5


def test_four_items_give_no_interval():
    assert cluster_bootstrap(np.ones((4, 2)), np.random.default_rng(0)) == [None, None]


def test_no_items_give_no_interval():
    assert cluster_bootstrap(np.ones((0, 1)), np.random.default_rng(0)) == [None]


def test_equal_values_show_what_was_not_seen_and_not_that_nothing_varies():
    """All agree: another item may not, and only the limits say by how much that could move the mean."""
    assert cluster_bootstrap(np.zeros((40, 1)), np.random.default_rng(0)) == [None]
    (interval,) = cluster_bootstrap(np.zeros((40, 1)), np.random.default_rng(0), limits=(-1, 1))
    assert interval.lower == pytest.approx(-interval.upper)
    assert 0.08 < interval.upper < 0.10


def test_nan_is_refused():
    with pytest.raises(ValueError, match="leave unscored items out"):
        cluster_bootstrap([[float("nan")]] * 9, np.random.default_rng(0))


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="and 1 labels"):
        cluster_bootstrap(np.ones((9, 1)), np.random.default_rng(0), clusters=["a"])
