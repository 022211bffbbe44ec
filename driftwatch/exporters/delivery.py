"""Delivery: records leave the training thread here, and nothing that happens to them comes back.

One daemon thread takes observations from a bounded queue, appends them to the store first and hands them to the
exporters after that. A slow disk, a dead server or a raising exporter costs the training nothing: what cannot be
written is kept and tried again, what an exporter cannot deliver is counted, and only a queue that has been full for
long loses observations, which is said.

The thread also ends the run, when it is told to (`close`, `end`) or sees by itself that training is over, and leaves
nothing behind then: no thread, no port, no lock.
"""

import logging
import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from driftwatch.exporters.exporter import Exporter
from driftwatch.host import life
from driftwatch.host.life import End, TrainingLoop
from driftwatch.record.record import Record, RunInfo
from driftwatch.store.run_store import RunStore
from driftwatch.store.writer import BEAT_SECONDS

logger = logging.getLogger(__name__)

CAPACITY = 64  # observations that may wait; at one a minute this is an hour of a hanging disk
LOOP_SECONDS = 1.0  # between two glances at whether the training loop still runs


class Line(NamedTuple):
    """One JSON line for a file of the run."""

    file: str
    value: Any

    def write(self, store: RunStore) -> None:
        """Append it."""
        store.append_line(self.file, self.value)


class Whole(NamedTuple):
    """A small file of the run, written anew."""

    file: str
    value: Any

    def write(self, store: RunStore) -> None:
        """Put it in place of what was there."""
        store.write_json(self.file, self.value)


class Expired(NamedTuple):
    """A file of the run that is kept no longer."""

    file: str

    def write(self, store: RunStore) -> None:
        """Remove it, if it is there."""
        (store.folder / self.file).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one observation hands over: its record, and changes to other files of the run that the record refers to."""

    record: Record
    changes: tuple[Line | Whole | Expired, ...] = ()


class Delivery:
    """Carries observations to the store and the exporters on a thread of its own, and ends the run.

    Args:
        store: Where the run is kept.
        exporters: Asked in this order, after the store.
        attempt: Of the run.
        step: Optimizer steps done when it begins.
        loop: The training loop whose end ends the run; `None` where nobody knows it.
        beat_seconds: Between two signs of life.
    """

    def __init__(
        self,
        store: RunStore,
        exporters: Sequence[Exporter],
        *,
        attempt: int = 0,
        step: int = 0,
        loop: TrainingLoop | None = None,
        capacity: int = CAPACITY,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._store = store
        self._exporters = list(exporters)
        # One whose `put` may come from a finaliser or a signal handler, in whatever that has interrupted.
        self._queue: queue.SimpleQueue[Parcel | End] = queue.SimpleQueue()
        self._capacity = capacity
        self._unwritten: deque[Line | Whole | Expired] = deque()
        self._beat_seconds = beat_seconds
        self._attempt_number = attempt
        self._step = step
        self._loop = loop
        self._process = os.getpid()
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()
        self._is_told = False
        self._has_ended = False  # the event is written
        self.failures: Counter[str] = Counter()  # by exporter; "store" and "queue" for what never reached a file

    def start(self, info: RunInfo) -> None:
        """Open the exporters and begin to deliver."""
        for exporter in list(self._exporters):
            if not self._attempt(exporter.name, exporter.open, info, self._store):
                self._exporters.remove(exporter)
        self._thread = threading.Thread(target=self._run, name="driftwatch-delivery", daemon=True)
        self._thread.start()
        life.begin(self)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, also by what the thread saw itself."""
        return self._thread is None or self._has_ended

    @property
    def is_given_up(self) -> bool:
        """Whether it has been told to end, or its training is over, and its thread has not seen to that yet."""
        return self._is_told or (self._loop is not None and not self._loop.is_running)

    def submit(self, parcel: Parcel) -> bool:
        """Take over one observation, and say whether it was taken; never waits."""
        if self._process != os.getpid():
            return False
        if self._queue.qsize() >= self._capacity:
            self._count("queue", f"observation {parcel.record.look} was lost: the run folder has taken none for long")
            return False
        self._queue.put(parcel)
        return True

    def end(self, state: End) -> None:
        """Have the run end once what waits is delivered; waits for nothing, so that a finaliser can say it."""
        if self._process == os.getpid():
            self._is_told = True
            self._queue.put(state)

    def close(self, state: End, *, timeout: float) -> None:
        """Deliver what waits, tell the exporters how the run ended, and stop; gives up after `timeout` seconds."""
        thread, self._thread = self._thread, None
        if thread is None or self._process != os.getpid():
            return
        life.end(self)
        self._queue.put(state)
        thread.join(timeout)
        if thread.is_alive():
            logger.warning(
                "observations of run %s were not all delivered within %.0f s", self._store.folder.name, timeout
            )
            self._write_end(state)

    def abandon(self) -> None:
        """In a forked child, where the thread is not: close what listens, and write nothing."""
        self._thread = None
        for exporter in self._exporters:
            if (leave := getattr(exporter, "abandon", None)) is not None:
                self._attempt(exporter.name, leave)

    def _run(self) -> None:
        patience = min(self._beat_seconds, LOOP_SECONDS)
        beaten = time.monotonic()
        state: End | None = None
        while state is None:
            try:
                parcel = self._queue.get(timeout=patience)
            except queue.Empty:
                if self._loop is not None and not self._loop.is_running:
                    state = life.how_it_ended(self._loop.thread)
                elif time.monotonic() - beaten >= self._beat_seconds:
                    self._beat()
                    beaten = time.monotonic()
                continue
            if not isinstance(parcel, Parcel):
                state = parcel
                continue
            # The record comes last: an observation that readers can see has everything that it refers to.
            self._unwritten.extend([*parcel.changes, Line("records.jsonl", parcel.record)])
            self._step = parcel.record.step
            self._beat()
            beaten = time.monotonic()
            for exporter in self._exporters:
                self._attempt(exporter.name, exporter.export, parcel.record)
        self._write()
        for exporter in self._exporters:
            self._attempt(exporter.name, exporter.close, state)
        self._write_end(state)
        self._attempt("store", self._store.release)
        life.end(self)

    def _write_end(self, state: End) -> None:
        """Once, whoever comes first."""
        if not self._has_ended:
            self._has_ended = True
            write = self._store.append_event
            self._attempt("store", lambda: write("end", attempt=self._attempt_number, step=self._step, text=state))

    def _beat(self) -> None:
        """Write what waits to be written and say that the process lives."""
        self._write()
        self._attempt("store", self._store.beat)
        for exporter in self._exporters:
            self._attempt(exporter.name, exporter.beat, time.time())

    def _write(self) -> None:
        while self._unwritten:
            if not self._attempt("store", self._unwritten[0].write, self._store):
                return
            self._unwritten.popleft()

    def _attempt(self, name: str, call: Callable[..., object], *args: object) -> bool:
        try:
            call(*args)
        except Exception as err:  # noqa: BLE001 - the border: whatever a channel does, training goes on
            self._count(name, f"{name} failed: {type(err).__name__}: {err}", err)
            return False
        return True

    def _count(self, name: str, text: str, err: Exception | None = None) -> None:
        self.failures[name] += 1
        cause = f"{name}:{type(err).__name__}"
        if cause not in self._said:  # once a cause; the rest is in the counter
            self._said.add(cause)
            logger.warning("%s", text, exc_info=err)
