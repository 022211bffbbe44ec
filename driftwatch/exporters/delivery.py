"""Delivery: here records leave the training thread, and nothing that happens to them affects the training.

One daemon thread takes observations from a bounded queue, appends them to the store first and then hands them to the
exporters. A slow disk, a dead server or a raising exporter costs the training nothing. What cannot be written is kept
and tried again, and what an exporter cannot deliver is counted. Observations are lost only while the queue is full, and
this is logged.

The thread also ends the run, when it is told to (`close`, `end`) or finds that training is over. It then leaves nothing
behind: no thread, no port, no lock.
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

CAPACITY = 64  # observations that may wait; at one per minute the disk may hang for an hour
LOOP_SECONDS = 1.0  # seconds between two checks whether the training loop still runs


class Line(NamedTuple):
    """One JSON line for a file of the run."""

    file: str
    value: Any

    def write(self, store: RunStore) -> None:
        """Append the line to its file."""
        store.append_line(self.file, self.value)


class Whole(NamedTuple):
    """A small file of the run, written anew."""

    file: str
    value: Any

    def write(self, store: RunStore) -> None:
        """Replace the file."""
        store.write_json(self.file, self.value)


class Expired(NamedTuple):
    """A file of the run that is kept no longer."""

    file: str

    def write(self, store: RunStore) -> None:
        """Remove the file, if it exists."""
        (store.folder / self.file).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one observation hands over: its record, and changes to other files to which the record refers."""

    record: Record
    changes: tuple[Line | Whole | Expired, ...] = ()


class Delivery:
    """Carries observations to the store and the exporters on a thread of its own, and ends the run.

    Args:
        store: Folder in which the run is kept.
        exporters: Exporters, called in this order after the store.
        attempt: The run's attempt number.
        step: Optimizer steps done when the run begins.
        loop: The training loop whose end ends the run; `None` where it is not known.
        capacity: Number of observations that may wait.
        beat_seconds: Seconds between two heartbeats.
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
        # A SimpleQueue, since `put` may be called by a finaliser or a signal handler, whatever that has interrupted.
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
        self._has_ended = False  # whether the event "end" is written
        self.failures: Counter[str] = Counter()  # by exporter; "store" and "queue" count what never reached a file

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
        """Whether the run has ended, also if the thread ended it by itself."""
        return self._thread is None or self._has_ended

    @property
    def is_given_up(self) -> bool:
        """Whether the run was told to end, or its training is over, even if the thread has not ended it yet."""
        return self._is_told or (self._loop is not None and not self._loop.is_running)

    def submit(self, parcel: Parcel) -> bool:
        """Take over one observation, and return whether it was taken; this never waits."""
        if self._process != os.getpid():
            return False
        if self._queue.qsize() >= self._capacity:
            self._count("queue", f"observation {parcel.record.look} was lost: the run folder has taken none for long")
            return False
        self._queue.put(parcel)
        return True

    def end(self, state: End) -> None:
        """Let the run end once the waiting observations are delivered; this never waits, so a finaliser can call it."""
        if self._process == os.getpid():
            self._is_told = True
            self._queue.put(state)

    def close(self, state: End, *, timeout: float) -> None:
        """Deliver what waits, tell the exporters how the run ended, and stop; give up after `timeout` seconds."""
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
        """Close what listens in a forked child, which has no such thread, and write nothing."""
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
            # The record comes last, so that an observation that readers can see has all that it refers to.
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
        """Write the event that ends the run, once, for whichever caller comes first."""
        if not self._has_ended:
            self._has_ended = True
            write = self._store.append_event
            self._attempt("store", lambda: write("end", attempt=self._attempt_number, step=self._step, text=state))

    def _beat(self) -> None:
        """Write what waits to be written, and say that the process lives."""
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
        if cause not in self._said:  # logged once per cause; the counter has the rest
            self._said.add(cause)
            logger.warning("%s", text, exc_info=err)
