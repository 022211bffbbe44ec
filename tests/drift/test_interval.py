import numpy as np
import pytest

from driftwatch.drift.interval import Interval, cluster_bootstrap


def coverage(intervals, truth=0.0):
    return np.mean([interval.contains(truth) for interval in intervals])


@pytest.mark.parametrize("num_items", [8, 12, 50])
def test_interval_covers_as_stated_even_with_few_items(num_items):
    """Plain percentiles of eight items cover 0.89 only."""
    rng = np.random.default_rng(num_items)
    found = [cluster_bootstrap(rng.normal(size=(num_items, 1)), rng)[0] for _ in range(1500)]
    assert 0.93 <= coverage(found) <= 0.97


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
    values = np.array([[1.0]] * 9 + [[0.0]] * 4)
    clusters = ["big"] * 9 + list("abcd")
    (interval,) = cluster_bootstrap(values, np.random.default_rng(0), clusters=clusters)
    assert interval.lower == 0.0
    assert interval.upper > 0.9


def test_same_generator_same_interval():
    values = np.random.default_rng(0).normal(size=(20, 2))
    first, again = (cluster_bootstrap(values, np.random.default_rng(5)) for _ in range(2))
    assert first == again


def test_a_lower_level_gives_a_narrower_interval():
    values = np.random.default_rng(0).normal(size=(20, 1))
    (wide,), (narrow,) = (cluster_bootstrap(values, np.random.default_rng(1), level=x) for x in (0.95, 0.5))
    assert narrow.upper - narrow.lower < wide.upper - wide.lower
    assert narrow.level == 0.5


def test_four_items_give_no_interval():
    assert cluster_bootstrap(np.ones((4, 2)), np.random.default_rng(0)) == [None, None]


def test_no_items_give_no_interval():
    assert cluster_bootstrap(np.ones((0, 1)), np.random.default_rng(0)) == [None]


def test_equal_values_give_an_interval_without_width():
    assert cluster_bootstrap(np.zeros((9, 1)), np.random.default_rng(0)) == [Interval(0.0, 0.0)]


def test_nan_is_refused():
    with pytest.raises(ValueError, match="leave unscored items out"):
        cluster_bootstrap([[float("nan")]] * 9, np.random.default_rng(0))


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="and 1 labels"):
        cluster_bootstrap(np.ones((9, 1)), np.random.default_rng(0), clusters=["a"])
