"""JudgeWorker: runs a judge off the training thread; judgements arrive later and name their observation."""

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
        look: Number of the observation that the replies belong to.
        readings: Judgements in the order of the replies; `None` if there are none, for the reason in `failure`.
        failure: Why there are no judgements; `None` if there are.
        again: Judgements of the replies that were to be judged once more; `None` if there were none, or it failed.
        seconds: Seconds from handing over to the result.
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
    """Has a judge read on its own thread, one observation after the other, so that results come in that order.

    Args:
        judge: The judge; it is called from the worker's thread only.
        expected_id: The judge's id at the baseline; `None` if there is none to compare with.
        max_waiting: Most observations that may wait; one more is refused, so that a dead endpoint hoards no replies.
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
        """Number of observations that were handed over and not collected yet."""
        return self._num_open

    def submit(self, look: int, asked: Sequence[Asked], again: Sequence[Asked] = ()) -> None:
        """Hand over the replies of one observation; returns at once.

        Args:
            look: The observation's number.
            asked: The replies to judge.
            again: The replies among them to judge a second time, after all others.

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
        """The results that have arrived since the last call, oldest observation first; never waits."""
        with self._arrived:
            found, self._results = self._results, []
        self._num_open -= len(found)
        return found

    def wait(self, timeout: float) -> list[Late]:
        """Like `collect`, after everything has arrived or `timeout` seconds have passed."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._results) >= self._num_open, timeout)
        return self.collect()

    def close(self, timeout: float) -> list[Late]:
        """The results that arrive within `timeout` seconds; the rest is given up and the thread ends."""
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
    """A judge's judgements within so many seconds; `None` lets it take as long as it needs.

    Raises:
        JudgeError: The judge failed, or had not read everything in time.
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
