"""One exchange after another between the ranks of a session; all of them in this process."""

import gc
import threading
import weakref

import pytest
from torch.distributed import HashStore

from driftwatch.errors import RanksError
from driftwatch.host.exchange import Entry, Line

LONG = 600.0  # seconds: what waits is a test that hangs


@pytest.fixture
def lines():
    store = HashStore()
    return [Line(store, rank, 2, "session", LONG) for rank in range(2)]


def swapped(lines, part):
    """What each rank gets of one exchange at the beginning of a part: values, or what the error says."""
    found = {}

    def swap(line):
        line.open(part)
        try:
            found[line.rank] = line.swap(Entry("numbers", "", "value", line.rank))
        except RanksError as err:
            found[line.rank] = str(err)
        line.end()

    threads = [threading.Thread(target=swap, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[line.rank] for line in lines]


@pytest.mark.parametrize("who", [0, 1])
def test_who_says_that_they_do_not_come_to_a_part_is_not_waited_for(lines, who):
    lines[who].skip("step-3", "RuntimeError: no memory")
    other, own = (swapped([lines[number]], "step-3")[0] for number in (1 - who, who))
    assert f"since it failed on rank {who}: RuntimeError: no memory" in other
    assert own == "RuntimeError: no memory", "nor does it wait for anybody, should it come all the same"
    assert swapped(lines, "step-4") == [[0, 1], [0, 1]]


def test_who_has_come_to_a_part_says_nothing_more_of_it(lines):
    assert swapped(lines, "step-3") == [[0, 1], [0, 1]]
    lines[1].skip("step-3", "too late")
    assert swapped(lines, "step-3") == [[0, 1], [0, 1]]


def test_the_error_of_a_part_that_is_over_holds_nothing_alive(lines):
    class Model:
        pass

    def fails():
        model = Model()
        alive = weakref.ref(model)
        lines[0].open("step-3")
        lines[1].open("step-3")
        lines[1].leave("RuntimeError: no memory")
        with pytest.raises(RanksError):
            lines[0].swap(Entry("numbers", "", "value", 1))
        with pytest.raises(RanksError):
            lines[0].swap(Entry("numbers", "", "value", 2))
        return alive

    alive = fails()
    gc.collect()
    assert alive() is None
