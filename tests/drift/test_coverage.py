"""Intervals over items cover what they say, or are withheld; and the gate is wrong as often as it says, at most.

Populations of items whose mean change is known: changes that are normal, the project's own model of how items drift
(few move far, most a little), and one item in nine or ten that changes sides altogether.
"""

import numpy as np
import pytest

from benchmarks.interval_coverage import TOLERANCE, covered, wrongly_within
from driftwatch.drift.equivalence import compare_models
from driftwatch.drift.interval import ENOUGH_CLUSTERS
from driftwatch.stance import Probs, Stance


def error(share, runs):
    return 3 * (share * (1 - share) / runs) ** 0.5


@pytest.mark.parametrize("num_items", [8, ENOUGH_CLUSTERS, 52])
@pytest.mark.parametrize("name", ["normal", "synthetic", "one in nine"])
def test_intervals_of_the_net_shift_cover_from_eight_items_up(name, num_items):
    assert covered(name, num_items, 150) >= 0.93 - error(0.93, 150)


@pytest.mark.parametrize("num_items", [10, 50])
@pytest.mark.parametrize("name", ["normal", "synthetic", "one in nine", "skewed"])
def test_within_is_seldom_said_of_a_shift_of_the_tolerance(name, num_items):
    assert wrongly_within(name, num_items, 150) <= 0.05 + error(0.05, 150)


def test_a_model_that_stayed_is_within_with_fifty_items():
    """The test is no empty one: with the items of a usual bank it shows what is true."""
    rng = np.random.default_rng(5)
    before = rng.dirichlet((3, 2, 3), 50)
    found = []
    for _ in range(60):
        moved = np.clip(rng.normal(0, 0.08, 50), -before[:, 0], before[:, 2])
        after = before + moved[:, None] * np.array([1, 0, -1])
        sides = [
            [Stance("t", str(i), "s", probs=Probs(*row)) for i, row in enumerate(side)] for side in (before, after)
        ]
        found.append(compare_models(*sides, max_drift=TOLERANCE)[0].decision == "within")
    assert np.mean(found) > 0.9


@pytest.mark.nightly
@pytest.mark.parametrize("num_items", [8, 10, 12, 20, 29, 30, 50, 150])
@pytest.mark.parametrize("name", ["normal", "synthetic", "one in nine", "one in ten", "skewed"])
def test_every_interval_and_every_gate_holds(name, num_items):
    coverage, wrong = covered(name, num_items, 1000), wrongly_within(name, num_items, 1000)
    assert coverage is None or coverage >= 0.93 - error(0.93, 1000)
    assert wrong is None or wrong <= 0.05 + error(0.05, 1000)
