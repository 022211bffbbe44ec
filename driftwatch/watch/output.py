"""Output: writes and exports what a run produces, on the first rank alone.

Only that rank has the run's folder, the thread that writes, and the exporters. The other ranks have a `NoOutput`, so
that the code of a run is the same on all of them.
"""

import logging
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from driftwatch.exporters.delivery import Delivery, Expired, Line, Parcel, Whole
from driftwatch.exporters.exporter import Exporter
from driftwatch.host.life import End, TrainingLoop, how_it_ended
from driftwatch.host.ranks import rank
from driftwatch.record.record import Record, RunInfo
from driftwatch.replies.pool import BaselineReply
from driftwatch.store.run_store import RunStore
from driftwatch.watch.budget import Books
from driftwatch.watch.keeping import BASELINE_REPLIES, BUDGET_FILE

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 20.0  # how long the end of training waits for the last record to be delivered


class Output:
    """The output of one attempt at a run.

    Args:
        store: Where the run is kept.
        exporters: Exporters that are opened with the run.
        attempt: The run's attempt number.
        loop: The training loop whose end ends the run; `None` if it is unknown.

    Attributes:
        store: Where the run is kept; `None` once another process has taken the run.
        is_taken: Whether another process has taken the run, so that nothing more is observed for it here.
    """

    def __init__(
        self, store: RunStore, exporters: Sequence[Exporter], *, attempt: int, loop: TrainingLoop | None
    ) -> None:
        self.store: RunStore | None = store
        self._folder = store
        self._exporters, self._attempt, self._loop = list(exporters), attempt, loop
        self._delivery = Delivery(store, exporters, attempt=attempt, loop=loop)
        self._is_closed, self.is_taken = False, False
        self._ends_with: list[weakref.ReferenceType[Any]] = []
        self._finalizers: list[weakref.finalize[[Delivery], Any]] = []  # each holds what it ends

    @property
    def failures(self) -> Counter[str]:
        """Number of deliveries that failed, by exporter."""
        return self._delivery.failures

    def begin(self, info: RunInfo, step: int, decoded: Iterable[BaselineReply] = ()) -> None:
        """Begin to write and to export; `decoded` are the baseline's replies that the files do not have yet."""
        for reply in decoded:
            self._folder.append_line(BASELINE_REPLIES, reply)
        self._begin(info, step)

    def _begin(self, info: RunInfo, step: int) -> None:
        self._folder.append_event("begin", attempt=self._attempt, step=step)
        self._delivery = Delivery(self._folder, self._exporters, attempt=self._attempt, step=step, loop=self._loop)
        self._delivery.start(info)
        for found in self._ends_with:
            if (one := found()) is not None:
                self._end_when_collected(one)

    def describe(self, info: RunInfo) -> None:
        """Write the run's description again, after it has changed."""
        if self.is_taken:
            return
        self._folder.write_json("run.json", info)

    def note(self, kind: str, step: int, text: str) -> None:
        """Record an event of the run that a reader should know about."""
        if self.is_taken:
            return
        self._folder.append_event(kind, attempt=self._attempt, step=step, text=text)

    def keep(self, books: Books) -> None:
        """Write what the run has taken so far, so that an attempt that ends before an observation is counted too."""
        self._folder.write_json(BUDGET_FILE, books)

    def hand_over(self, record: Record, left: Iterable[Line | Whole | Expired], info: RunInfo) -> bool:
        """Give one observation to the thread that delivers, and say whether it was taken."""
        if self._is_closed or self.is_taken:
            return False
        if self._delivery.is_over:  # the run was taken to have ended, and here is another observation
            self._delivery.close(how_it_ended(), timeout=CLOSE_SECONDS)  # its thread may just be leaving
            if not self._folder.claim():
                self._leave_it()
                return False
            self._begin(info, record.step)
        return self._delivery.submit(Parcel(record, tuple(left)))

    def _leave_it(self) -> None:
        self.store, self.is_taken = None, True
        logger.warning(
            "another process has gone on with the run in %s, which was taken to be over; training goes on, and nothing "
            "more is asked of it or written there. Give two trainings that run at the same time two runs",
            self._folder.folder,
        )

    def end_with(self, one: Any) -> None:
        """Have the run end when an object is garbage-collected."""
        self._ends_with.append(weakref.ref(one))
        self._end_when_collected(one)

    def _end_when_collected(self, one: Any) -> None:
        self._finalizers.append(weakref.finalize(one, _end, self._delivery))
        self._finalizers[-1].atexit = False

    def close(self, reason: End) -> None:
        """Deliver what waits, and say how the run ended. Safe to repeat."""
        self._is_closed = True
        self._delivery.close(reason, timeout=CLOSE_SECONDS)
        for finalizer in self._finalizers:
            finalizer.detach()
        self._finalizers.clear()


class NoOutput:
    """The output of the other ranks, which write nothing."""

    store: RunStore | None = None
    is_taken = False

    @property
    def failures(self) -> Counter[str]:
        """Nothing is delivered here, so nothing fails."""
        return Counter()

    def begin(self, info: RunInfo, step: int, decoded: Iterable[BaselineReply] = ()) -> None:
        """Does nothing."""

    def describe(self, info: RunInfo) -> None:
        """Does nothing."""

    def note(self, kind: str, step: int, text: str) -> None:
        """Does nothing."""

    def keep(self, books: Books) -> None:
        """Does nothing."""

    def hand_over(self, record: Record, left: Iterable[Line | Whole | Expired], info: RunInfo) -> bool:
        """Does nothing and returns true: there is nothing here that could be refused."""
        return True

    def end_with(self, one: Any) -> None:
        """Does nothing."""

    def close(self, reason: End) -> None:
        """Does nothing."""


def _end(delivery: Delivery) -> None:
    # By now there is no error to inspect any more; only an interruption by a person can still be recognised.
    delivery.end(how_it_ended())


def output_of(
    folder: Path, exporters: Sequence[Exporter], *, attempt: int, loop: TrainingLoop | None
) -> Output | NoOutput:
    """The output of this rank: an `Output` on the first, a `NoOutput` on every other."""
    return Output(RunStore(folder), exporters, attempt=attempt, loop=loop) if rank() == 0 else NoOutput()
