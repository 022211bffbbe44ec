import logging
import threading

import pytest
from support.builders import record, run_info

from driftwatch.exporters.delivery import Delivery, Line, Parcel
from driftwatch.store.run_store import RunStore


class Channel:
    """An exporter that remembers, and can be made to fail or hang."""

    def __init__(self, name="channel"):
        self.name = name
        self.got = []
        self.closed = None
        self.beats = 0
        self.failing = False
        self.hanging = threading.Event()
        self.hanging.set()

    def open(self, info, store):
        self.info = info

    def export(self, found):
        self.hanging.wait(10)
        if self.failing:
            raise ConnectionError("the server is gone")
        self.got.append(found.look)

    def beat(self, timestamp):
        self.beats += 1

    def close(self, state):
        self.closed = state


@pytest.fixture
def store(tmp_path):
    made = RunStore(tmp_path / "r1")
    made.create(run_info())
    return made


def deliver(store, channels, looks=3, **options):
    delivery = Delivery(store, channels, beat_seconds=0.05, **options)
    delivery.start(run_info())
    for look in range(looks):
        delivery.submit(Parcel(record(look, look), (Line("stances.jsonl", {"look": look}),)))
    return delivery


def test_every_look_reaches_the_store_and_every_exporter(store):
    channels = [Channel("a"), Channel("b")]
    deliver(store, channels).close("finished", timeout=5)
    assert [r.look for r in store.records()] == [0, 1, 2]
    assert len(list(store.lines("stances.jsonl"))) == 3
    assert [c.got for c in channels] == [[0, 1, 2], [0, 1, 2]]
    assert [c.closed for c in channels] == ["finished", "finished"]


def test_a_failing_exporter_stops_neither_the_store_nor_the_others(store, caplog):
    broken, whole = Channel("broken"), Channel("whole")
    broken.failing = True
    with caplog.at_level(logging.WARNING):
        delivery = deliver(store, [broken, whole])
        delivery.close("finished", timeout=5)
    assert whole.got == [0, 1, 2]
    assert delivery.failures["broken"] == 3
    assert caplog.text.count("the server is gone") >= 1
    assert sum("broken failed" in r.message for r in caplog.records) == 1, "a cause is logged once"


def test_an_exporter_that_cannot_open_is_left_out(store):
    broken = Channel("broken")
    broken.open = lambda info, store: (_ for _ in ()).throw(OSError("no"))
    delivery = deliver(store, [broken])
    delivery.close("finished", timeout=5)
    assert broken.got == []
    assert delivery.failures["broken"] == 1


def test_submitting_never_waits_for_a_hanging_exporter(store):
    slow = Channel("slow")
    slow.hanging.clear()
    delivery = deliver(store, [slow], looks=10, capacity=4)
    assert delivery.failures["queue"] >= 4, "what does not fit is counted as lost"
    slow.hanging.set()
    delivery.close("finished", timeout=5)
    assert len(slow.got) + delivery.failures["queue"] == 10


def test_what_a_full_disk_refused_is_written_when_there_is_room(store, monkeypatch):
    append, full = RunStore.append_line, [True]

    def refusing(self, name, value):
        if full[0]:
            raise OSError(28, "No space left on device")
        append(self, name, value)

    monkeypatch.setattr(RunStore, "append_line", refusing)
    delivery = deliver(store, [])
    while not delivery.failures["store"]:
        pass
    full[0] = False
    delivery.close("finished", timeout=5)
    assert [r.look for r in store.records()] == [0, 1, 2]
    assert len(list(store.lines("stances.jsonl"))) == 3, "nothing is written twice"


def test_signs_of_life_come_while_nothing_is_measured(store):
    channel = Channel()
    delivery = deliver(store, [channel], looks=0)
    while channel.beats < 3:
        pass
    delivery.close("finished", timeout=5)


def test_closing_gives_up_on_a_channel_that_hangs(store, caplog):
    slow = Channel("slow")
    slow.hanging.clear()
    delivery = deliver(store, [slow], looks=1)
    with caplog.at_level(logging.WARNING):
        delivery.close("finished", timeout=0.2)
    assert "were not all delivered" in caplog.text
    slow.hanging.set()
