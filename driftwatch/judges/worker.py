"""A judge off the training thread: readings arrive later and say to which observation they belong."""

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Asked, Judge, Judgement
from driftwatch.judges.judging import read, read_again


@dataclass(frozen=True, slots=True)
class Late:
    """What became of one observation's replies.

    Attributes:
        look: The observation that they belong to.
        readings: In the order of the replies; `None` with the reason in `failure`.
        failure: Why there are none.
        again: What it made of the replies that it was given once more; `None` where there were none, or it failed.
        seconds: From handing over to result.
    """

    look: int
    readings: list[Judgement] | None
    failure: str | None
    seconds: float
    again: list[Judgement] | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    look: int
    asked: tuple[Asked, ...]
    again: tuple[Asked, ...]
    submitted: float


class JudgeWorker:
    """Reads on a thread of its own, one observation after the other, so that results come in the order of observations.

    Args:
        judge: Called from the worker's thread only.
        expected_id: The judge's id at the baseline; `None` where there is none to compare with.
        max_waiting: Observations that may wait; one more is refused, so that a dead endpoint does not hoard replies.
    """

    def __init__(self, judge: Judge, *, expected_id: str | None = None, max_waiting: int = 16) -> None:
        self._judge = judge
        self._expected_id = expected_id
        self._jobs: queue.Queue[_Job | None] = queue.Queue(max_waiting)
        self._results: list[Late] = []
        self._arrived = threading.Condition()
        self._num_open = 0
        # A daemon, so that an endpoint that never answers cannot keep the training process alive.
        self._thread = threading.Thread(target=self._work, name="driftwatch-judge", daemon=True)
        self._thread.start()

    @property
    def num_open(self) -> int:
        """Observations that were handed over and not collected yet."""
        return self._num_open

    def submit(self, look: int, asked: Sequence[Asked], again: Sequence[Asked] = ()) -> None:
        """Hand over the replies of one observation; returns at once.

        Args:
            look: Its number.
            asked: What to read.
            again: Those of them to be read once more, afterwards.

        Raises:
            JudgeError: Too many observations wait already.
        """
        try:
            self._jobs.put_nowait(_Job(look, tuple(asked), tuple(again), time.monotonic()))
        except queue.Full as err:
            raise JudgeError(
                f"{self._num_open} observations wait for judge {self._judge.id} already; this one goes on without it."
            ) from err
        self._num_open += 1

    def collect(self) -> list[Late]:
        """What has arrived since the last call, oldest observation first; never waits."""
        with self._arrived:
            found, self._results = self._results, []
        self._num_open -= len(found)
        return found

    def wait(self, timeout: float) -> list[Late]:
        """As `collect`, after everything has arrived or `timeout` seconds have passed."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._results) >= self._num_open, timeout)
        return self.collect()

    def close(self, timeout: float) -> list[Late]:
        """Wait for what is under way, at most `timeout` seconds, and return what arrived; the rest is given up."""
        found = self.wait(timeout)
        self._num_open = 0
        with contextlib.suppress(queue.Full):  # then the thread is stuck in the judge and ends with the process
            self._jobs.put_nowait(None)
        return found

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            readings, again, failure = None, None, None
            try:
                readings = read(self._judge, job.asked, expected_id=self._expected_id)
                again = read_again(self._judge, job.again, expected_id=self._expected_id)
            except Exception as err:  # noqa: BLE001 - a thread that ended would leave all later observations unclassified
                failure = str(err) if isinstance(err, JudgeError) else f"{type(err).__name__}: {err}"
            with self._arrived:
                self._results.append(Late(job.look, readings, failure, time.monotonic() - job.submitted, again))
                self._arrived.notify_all()


def read_within(judge: Judge, asked: Sequence[Asked], *, expected_id: str, seconds: float | None) -> list[Judgement]:
    """What a judge reads within so many seconds; `None` for as long as it takes.

    Raises:
        JudgeError: It failed, or had not read everything by then.
    """
    if seconds is None:
        return read(judge, asked, expected_id=expected_id)
    worker = JudgeWorker(judge, expected_id=expected_id)
    worker.submit(0, asked)
    found = worker.close(seconds)
    if not found:
        raise JudgeError(
            f"judge {judge.id} had not read {len(asked)} replies after {seconds:.0f} s, and other ranks wait for it no "
            "longer: their process group's time-out allows no more. Raise that time-out, or take a faster judge."
        )
    if (readings := found[0].readings) is None:
        raise JudgeError(found[0].failure or "no reason given")
    return readings
