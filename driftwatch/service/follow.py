"""FollowedRun: follows one run folder and reads it as it grows.

A refresh reads only what was appended since the last one. For each observation it keeps the place of its line and a few
numbers, so two hundred runs of two hundred observations fit into a few megabytes. Records are decoded when a page asks
for them. A refresh never raises, whatever the folder holds: it counts what cannot be read and keeps the first reason.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from driftwatch.errors import StoreError
from driftwatch.record.record import SCHEMA, Record, RunInfo, record_from_json
from driftwatch.report.series import Series
from driftwatch.store.run_store import STALE_SECONDS, Event, RunStore
from driftwatch.store.tail import Tail
from driftwatch.wording import RunState

logger = logging.getLogger(__name__)

MAX_POINTS = 800  # observations on a curve; of more, every second, third, … one is drawn


class LookRef(NamedTuple):
    """Where an observation's line is, with the numbers that are needed without decoding it."""

    offset: int
    length: int
    attempt: int
    look: int
    step: int
    timestamp: float


class Curves(msgspec.Struct):
    """The figures of a run over its observations, as columns.

    Attributes:
        version: Version of the run at which the columns were made.
        length: Number of positions in the whole series.
        since: Position of the first observation in this answer.
        stride: Number of observations that one position stands for; above 1 for very long runs.
        columns: Columns nested by topic, probe, baseline and figure; each leaf is a list over observations, null where
            not measured.
        alerts: Alerts of the observations in this answer; earlier ones may be among them.
    """

    version: int
    length: int
    since: int
    stride: int
    columns: dict[str, Any]
    alerts: list[dict[str, Any]]


class _Head(msgspec.Struct):
    schema: int
    attempt: int
    look: int
    step: int
    timestamp: float


class FollowedRun:
    """What is known about one run, as of the last refresh.

    Attributes:
        name: The folder's name, by which the run is addressed.
        info: The run's attributes; `None` while run.json cannot be read, and `problem` then says why.
        looks: All observations that can be read, in the order of the file; superseded ones are left out.
        last: The latest observation; `None` before one.
        last_measured: The latest observation that found anything; `None` before one.
        version: A number that rises whenever anything that a reader sees has changed.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.name = folder.name
        self.store = RunStore(folder, clock=clock)
        self.info: RunInfo | None = None
        self.looks: list[LookRef] = []
        self.last: Record | None = None
        self.last_measured: Record | None = None
        self.state: RunState = "crashed"
        self.heartbeat: float | None = None
        self.events: list[Event] = []
        self.version = 0
        self.is_pushed = (folder / "pushed.json").is_file()
        self._all: list[LookRef] = []
        # Otherwise whoever pushes a run could push a link and have the service show what it leads to.
        self._records = Tail(folder / "records.jsonl", restarted=self._forget_looks, follow_links=False)
        self._events = Tail(folder / "events.jsonl", restarted=self._forget_events, follow_links=False)
        self._settled: tuple[int, int] | None = None  # numbers of observations and events when `_settle` last ran
        self._described: tuple[int, int] | None = None
        self._gone: str | None = None
        self._undescribed: str | None = None
        self._clock = clock
        self._series: Series | None = None
        self._drawn: list[LookRef] = []
        self._lock = threading.RLock()

    def refresh(self) -> bool:
        """Read what is new; returns whether anything has changed."""
        with self._lock:
            before = self._visible()
            try:
                self._refresh()
                self._gone = None
            except OSError as err:
                self._gone = f"the folder cannot be read ({err.strerror or type(err).__name__})"
            changed = self._visible() != before
            self.version += changed
            return changed

    @property
    def problem(self) -> str | None:
        """The first thing that cannot be read; `None` where everything can."""
        return self._gone or self._undescribed or self._records.problem or self._events.problem

    @property
    def unreadable(self) -> int:
        """The number of observations that could not be read."""
        return self._records.damaged

    def records(self, refs: Sequence[LookRef]) -> list[Record]:
        """The records of some observations, decoded now; those that have disappeared meanwhile are left out."""
        found: list[Record] = []
        if not refs:
            return found
        with self._lock:
            try:
                with self._records.path.open("rb") as file:
                    for ref in refs:
                        file.seek(ref.offset)
                        record = _decoded(file.read(ref.length))
                        if record is not None:
                            found.append(record)
            except OSError as err:
                logger.warning("%s cannot be read any more: %s", self._records.path, err)
        return found

    def curves(self, since: int = 0) -> Curves:
        """The figures of all observations from the position `since` on, as columns."""
        with self._lock:
            stride = max(1, -(-len(self.looks) // MAX_POINTS))
            if since > 0 and stride == 1 and self._series is None:
                # A page that follows its run asks for the newest observations only, so the others need not be read.
                fresh = Series(self.records(self.looks[since:]))
                return Curves(self.version, len(self.looks), since, stride, fresh.nested(), fresh.alerts)
            series = self._drawn_series(stride)
            return Curves(self.version, series.length, since, stride, series.nested(since), list(series.alerts))

    def _drawn_series(self, stride: int) -> Series:
        wanted = self.looks[::stride]
        if self._series is None or self._drawn != wanted[: len(self._drawn)]:
            self._series, self._drawn = Series(), []
        for record in self.records(wanted[len(self._drawn) :]):
            self._series.add(record)
        self._drawn = wanted
        return self._series

    def forget_curves(self) -> None:
        """Free the memory of the curves; they are read again when asked for."""
        with self._lock:
            self._series, self._drawn = None, []

    @property
    def last_seen(self) -> float:
        """Unix time of the last sign of life, in seconds; 0 if there never was one."""
        stamps = [self.heartbeat or 0.0, *(event.timestamp for event in self.events[-1:])]
        return max([*stamps, *(ref.timestamp for ref in self._all[-1:])])

    def _visible(self) -> tuple[object, ...]:
        return self.info, len(self._all), self.unreadable, len(self.events), self.state, self.problem

    def _refresh(self) -> None:
        self._read_info()
        for _, event in self._events.values(_event):
            self.events.append(event)
        for line, head in self._records.values(_head):
            self._all.append(LookRef(line.begin, len(line.text), head.attempt, head.look, head.step, head.timestamp))
        if self._settled != (len(self._all), len(self.events)):
            self._settle()
            self._settled = len(self._all), len(self.events)
        try:
            self.heartbeat = (self.store.folder / "heartbeat").stat().st_mtime
        except OSError:
            self.heartbeat = None
        self.state = self._state()

    def _read_info(self) -> None:
        path = self.store.folder / "run.json"
        status = os.stat(path, follow_symlinks=False)
        if self._described == (status.st_mtime_ns, status.st_size):
            return
        self._described = status.st_mtime_ns, status.st_size
        self.info = self._undescribed = None
        if path.is_symlink():  # a link could lead out of the folder, and an error message would show what is there
            self._undescribed = "run.json is a link, which is not followed"
            return
        try:
            self.info = self.store.info()
        except StoreError as err:
            self._undescribed = _first_sentence(err)

    def _forget_looks(self) -> None:
        self._all.clear()
        self._settled = None

    def _forget_events(self) -> None:
        self.events.clear()
        self._settled = None

    def _settle(self) -> None:
        """Leave out the observations that a resume has repeated, and decode the latest ones."""
        resumed = [(event.attempt, event.step) for event in self.events if event.kind == "begin"]
        self.looks = [r for r in self._all if not any(a > r.attempt and s < r.step for a, s in resumed)]
        self.last = self.last_measured = None
        for ref in reversed(self.looks):
            for record in self.records([ref]):
                self.last = self.last or record
                if record.found_anything:
                    self.last_measured = record
            if self.last_measured is not None:
                break

    def _state(self) -> RunState:
        last = next((event for event in reversed(self.events) if event.kind in ("begin", "end")), None)
        if last is not None and last.kind == "end":
            known: dict[str, RunState] = {"finished": "finished", "stopped": "stopped"}
            return known.get(last.text, "failed")
        is_alive = self.heartbeat is not None and self._clock() - self.heartbeat < STALE_SECONDS
        return "running" if is_alive else "crashed"


def _head(line: bytes) -> _Head:
    """The numbers of an observation that can be read without decoding all of it.

    Raises:
        StoreError: The line cannot be read; the message says why.
    """
    try:
        head = msgspec.json.decode(line, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
        raise StoreError(f"records.jsonl holds a line that is no record ({err})") from err
    if not 1 <= head.schema <= SCHEMA:
        raise StoreError(
            f"observation {head.look} has schema {head.schema}; this driftwatch reads 1 to {SCHEMA}: upgrade it"
        )
    return head


def _event(line: bytes) -> Event:
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
        raise StoreError("events.jsonl holds a line that is no event") from err


def _decoded(line: bytes) -> Record | None:
    try:
        return record_from_json(line)
    except (StoreError, KeyError) as err:
        logger.debug("an observation cannot be read: %s", err)
        return None


def _first_sentence(err: Exception) -> str:
    return str(err).split("\n", 1)[0][:300]
