import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.simulation.rate import Rate


@pytest.mark.parametrize(
    ("hits", "runs", "lower", "upper"),
    [
        (0, 10, 0.0, 0.3085),  # 1 − 0.025 ** (1/10)
        (10, 10, 0.6915, 1.0),
        (5, 10, 0.1871, 0.8129),  # Clopper and Pearson's table
        (1, 100, 0.0003, 0.0545),
    ],
)
def test_known_intervals(hits, runs, lower, upper):
    rate = Rate(hits, runs)
    assert rate.lower == pytest.approx(lower, abs=5e-5)
    assert rate.upper == pytest.approx(upper, abs=5e-5)


def test_a_large_table_does_not_overflow():
    rate = Rate(5340, 6000)
    assert rate.lower < 0.89 < rate.upper
    assert rate.upper - rate.lower == pytest.approx(2 * 1.96 * (0.89 * 0.11 / 6000) ** 0.5, rel=0.05)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_turns_round_with_it(case):
    hits, runs = case
    rate, other = Rate(hits, runs), Rate(runs - hits, runs)
    assert 0 <= rate.lower <= rate.value <= rate.upper <= 1
    assert rate.lower == pytest.approx(1 - other.upper)
