"""Which steps are candidates for an observation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.errors import ConfigError
from driftwatch.watch.schedule import Schedule


def due(schedule, until):
    return [step for step in range(until + 1) if schedule.is_due(step)]


def test_multiples_and_powers_of_two_below_the_first_of_them():
    assert due(Schedule(every_steps=100), 300) == [1, 2, 4, 8, 16, 32, 64, 100, 200, 300]


def test_without_early_dense_only_multiples():
    assert due(Schedule(every_steps=100, early_dense=False), 300) == [100, 200, 300]


def test_named_steps_are_due_besides():
    assert due(Schedule(every_steps=50, early_dense=False, at_steps=(7, 60)), 120) == [7, 50, 60, 100]


def test_every_step():
    assert due(Schedule(every_steps=1), 4) == [1, 2, 3, 4]


def test_step_zero_is_not_due_because_the_first_look_is_no_candidate():
    assert not Schedule(every_steps=1).is_due(0)


@given(every=st.integers(1, 2000), step=st.integers(1, 2000))
def test_early_steps_still_to_come_are_counted(every, step):
    schedule = Schedule(every_steps=every)
    assert schedule.num_early_from(step) == sum(schedule.is_early(later) for later in range(step, every))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_steps": 0}, r'of at least 1 as "every_steps", found the number 0\. Write for example 100\.'),
        ({"at_steps": (3, 0)}, 'of at least 1 as entry 2 of "at_steps", found the number 0'),
        ({"budget": 0.0}, r"a share of wall time over 0 and under 1, or None .* Write for example 0\.01, or None"),
        ({"budget": 1.0}, "a share of wall time over 0 and under 1.*found the number 1.0"),
        ({"budget": -0.1}, "a share of wall time over 0 and under 1.*found the number -0.1"),
        ({"budget": float("nan")}, "a share of wall time over 0 and under 1.*found the number nan"),
        ({"budget": "1 %"}, 'a number or None as "budget", found "1 %"'),
        ({"every_steps": True}, 'a whole number as "every_steps", found True'),
    ],
)
def test_setting_that_cannot_work_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Schedule(**settings)
