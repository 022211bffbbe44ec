"""Library: all runs below a folder, as of the last refresh, and a thread that refreshes them.

Requests read what the thread has found and never open a path that they name: a run is looked up by its name among the
runs that were found, so no request can reach outside the folder.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from driftwatch.report.verdict import Verdict, verdict
from driftwatch.service.follow import Curves, FollowedRun
from driftwatch.wording import RunState

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
KEPT_CURVES = 16  # runs whose curves stay in memory
MAX_RUNS = 2000  # runs that are followed; a folder with more is a mistake or an attack


@dataclass(frozen=True, slots=True)
class RunRow:
    """One row of the list of runs.

    Attributes:
        run: The run's name, by which it is addressed.
        state: Whether the run is running, or how it ended.
        problem: The first thing in its folder that could not be read, or `None`.
        unreadable: Number of observations that could not be read.
        verdict: The verdict on its last observation.
        step: Step of the last observation, or `None` before one.
        looks: Number of observations that count; those that a resume has repeated are left out.
        num_alerts: Number of pairs of topic and kind in alert, whatever their label, controls included.
        last_seen: Unix time of the last sign of life, in seconds.
        alpha: Probability that this run alone raises any false alert. Among N runs in which nothing moves, the expected
            number with a false alert is at most the sum of their alphas. `None` while the run is not known.
        is_pushed: Whether it was pushed here rather than read from a shared disk.
        version: A number that changes when anything about the run does.
    """

    run: str
    state: RunState
    problem: str | None
    unreadable: int
    verdict: Verdict
    model: str | None
    trainer: str | None
    pack: str | None
    created: float | None
    last_seen: float
    step: int | None
    looks: int
    attempts: int
    num_alerts: int
    alpha: float | None
    is_pushed: bool
    version: int


class Library:
    """The run in a folder, or the runs right below it.

    Args:
        root: A run's folder, or a folder of runs.
        clock: Unix time in seconds; a parameter for tests.
        poll_seconds: Seconds between two readings of the disk.
    """

    def __init__(
        self, root: str | Path, *, clock: Callable[[], float] = time.time, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self.root = Path(root)
        self.clock = clock
        self._ready = threading.Event()
        self.problem: str | None = None
        self._poll_seconds = poll_seconds
        self._runs: dict[str, FollowedRun] = {}
        self._rows: dict[str, RunRow] = {}
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._listeners: list[Callable[[set[str]], None]] = []
        self._refreshing = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False

    # Reading

    @property
    def is_ready(self) -> bool:
        """Whether the folder has been read once."""
        return self._ready.is_set()

    def wait_ready(self, seconds: float) -> bool:
        """Wait until the folder has been read once; returns whether it has been."""
        return self._ready.wait(seconds)

    def get(self, name: str) -> FollowedRun | None:
        """The run of this name, or `None`."""
        return self._runs.get(name)

    def __iter__(self) -> Iterator[FollowedRun]:
        return iter(list(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs)

    def row(self, name: str) -> RunRow | None:
        """The row of one run, or `None` if there is no such run."""
        return self._rows.get(name)

    def rows(self) -> list[RunRow]:
        """A row for every run: running ones first, and the most recently seen before others."""
        rows = self._rows.values()
        return sorted(rows, key=lambda row: (row.state != "running", -(row.created or 0.0), row.run))

    def curves(self, run: FollowedRun, since: int = 0) -> Curves:
        """A run's curves; only the curves of the runs that were asked for last stay in memory."""
        self._recent[run.name] = None
        self._recent.move_to_end(run.name)
        while len(self._recent) > KEPT_CURVES:
            name, _ = self._recent.popitem(last=False)
            if (other := self._runs.get(name)) is not None:
                other.forget_curves()
        return run.curves(since)

    # Refreshing

    def listen(self, listener: Callable[[set[str]], None]) -> None:
        """Call a function after every refresh with the names of the runs that changed; it must not block."""
        self._listeners.append(listener)

    def refresh(self) -> set[str]:
        """Read the disk once; returns the names of the runs that changed, appeared or disappeared."""
        with self._refreshing:
            found = self._folders()
            changed = self._runs.keys() - found.keys()
            runs = {}
            for name, folder in found.items():
                run = self._runs.get(name) or FollowedRun(folder, clock=self.clock)
                if run.refresh() or name not in self._rows:
                    changed.add(name)
                runs[name] = run
            kept = {name: row for name, row in self._rows.items() if name in runs and name not in changed}
            self._rows = kept | {name: _row(runs[name]) for name in changed if name in runs}
            self._runs = runs
        for listener in self._listeners:
            listener(changed)
        self._ready.set()
        return changed

    def start(self) -> None:
        """Refresh on a daemon thread from now on."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="driftwatch-library", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Read the disk now rather than at the next turn."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread; safe to repeat."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping = True
            self._wake.set()
            thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.refresh()
            except Exception:
                logger.exception("the runs in %s could not be refreshed; trying again", self.root)
            self._wake.wait(self._poll_seconds)
            self._wake.clear()

    def _folders(self) -> dict[str, Path]:
        try:
            below = sorted(self.root.iterdir())
            self.problem = None
        except OSError as err:
            self.problem = f"the folder cannot be read ({err.strerror or type(err).__name__})"
            return {}
        # Links are not followed: whoever can write a run folder must not open the rest of the disk to readers.
        folders = [self.root.resolve(), *(path for path in below if not path.is_symlink())]
        found = [path for path in folders if (path / "run.json").is_file()]
        if len(found) > MAX_RUNS:
            self.problem = f"more than {MAX_RUNS} runs in one folder; the first {MAX_RUNS} by name are shown"
        return {path.name: path for path in found[:MAX_RUNS]}


def _row(run: FollowedRun) -> RunRow:
    info, last = run.info, run.last
    evidence = run.last_measured.evidence if run.last_measured is not None else ()
    return RunRow(
        run=run.name,
        state=run.state,
        problem=run.problem,
        unreadable=run.unreadable,
        verdict=_verdict(run),
        model=info.model if info else None,
        trainer=info.trainer if info else None,
        pack=f"{info.pack} {info.pack_version}" if info else None,
        created=info.created if info else None,
        last_seen=run.last_seen,
        step=last.step if last else None,
        looks=len(run.looks),
        attempts=1 + max((event.attempt for event in run.events), default=0),
        num_alerts=sum(row.in_alert for row in evidence),
        alpha=info.alpha if info else None,
        is_pushed=run.is_pushed,
        version=run.version,
    )


def _verdict(run: FollowedRun) -> Verdict:
    if run.info is None:
        return Verdict("nothing", "This run cannot be read.", ())
    try:
        return verdict(run.info, run.last_measured)
    except (KeyError, ValueError, ArithmeticError) as err:
        # A program other than driftwatch can write observations with topics that their run.json does not name.
        return Verdict("nothing", f"The last observation of this run makes no sense ({type(err).__name__}: {err}).", ())
