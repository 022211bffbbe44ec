"""When a server is asked again: by one that waits for it, and by one that has other things to do."""

import random
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from driftwatch.http.patience import LONGEST_PAUSE, LONGEST_WAIT, Pause, TryAgain, retried


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Seconds that were waited between attempts, noted instead."""
    noted = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=noted.append))
    return noted


def failing(times, after=None, result="well"):
    left = iter(range(times))

    def call(seconds):
        if next(left, None) is not None:
            raise TryAgain("busy", after)
        return result

    return call


def later(seconds=1000.0):
    return time.monotonic() + seconds


def test_each_wait_is_twice_the_last_up_to_a_limit(waits):
    assert retried(failing(9), attempts=10, until=later()) == "well"
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_server_says_how_long_to_wait_up_to_a_limit(waits):
    retried(failing(2, after=7.0), attempts=10, until=later())
    retried(failing(1, after=0.0), attempts=10, until=later())
    retried(failing(1, after=9999.0), attempts=10, until=later())
    assert waits == [7.0, 7.0, 0.0, LONGEST_WAIT]


def test_the_last_failure_is_told(waits):
    with pytest.raises(TryAgain, match="busy"):
        retried(failing(9), attempts=3, until=later())
    assert len(waits) == 2


def test_nobody_waits_for_an_attempt_that_would_come_too_late(waits):
    with pytest.raises(TryAgain, match="busy"):
        retried(failing(9, after=20.0), attempts=9, until=later(10.0))
    assert waits == []
    with pytest.raises(TryAgain, match="no time was left"):
        retried(failing(0), attempts=9, until=later(-1.0))


def test_another_failure_is_not_tried_again(waits):
    def call(left):
        raise ValueError(left)

    with pytest.raises(ValueError, match=r"."):
        retried(call, attempts=9, until=later())
    assert waits == []


def test_an_attempt_knows_how_much_time_is_left():
    assert 90 < retried(lambda left: left, attempts=1, until=later(100.0)) <= 100


def test_no_random_number_of_the_training_is_drawn():
    before = random.getstate()
    retried(failing(5), attempts=9, until=later())
    assert random.getstate() == before


QUIET = """
import time
{before}
from driftwatch.http.patience import TryAgain, retried
answers = iter([TryAgain("busy", 0.0), None])
def call(left):
    if (found := next(answers)) is not None:
        raise found
retried(call, attempts=3, until=time.monotonic() + 60)
from prometheus_client import REGISTRY
print("stamina_retries_total" in {{sample.name for family in REGISTRY.collect() for sample in family.samples}})
"""


@pytest.mark.parametrize(("before", "counted"), [("", "False"), ("import stamina", "True")])
def test_the_training_s_own_metrics_count_our_retries_only_where_it_uses_stamina_itself(before, counted):
    done = subprocess.run(
        [sys.executable, "-c", QUIET.format(before=before)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == counted
    assert (done.stderr == "") == (counted == "False")


def test_a_pause_doubles_with_each_failure_and_begins_anew_after_an_answer():
    now = [0.0]
    pause = Pause(lambda: now[0])
    assert pause.is_over
    for seconds in (5, 10, 20, 40, 80, 160, 300, 300):
        pause.failed()
        now[0] += seconds - 0.5
        assert not pause.is_over
        now[0] += 0.5
        assert pause.is_over
    pause.answered()
    pause.failed()
    now[0] += 5
    assert pause.is_over


@pytest.mark.parametrize(("after", "seconds"), [(60.0, 60.0), (1.0, 5.0), (1e9, LONGEST_PAUSE), (None, 5.0)])
def test_a_pause_is_as_long_as_the_server_asks_within_limits(after, seconds):
    now = [0.0]
    pause = Pause(lambda: now[0])
    pause.failed(after)
    now[0] = seconds - 0.5
    assert not pause.is_over
    now[0] = seconds
    assert pause.is_over
