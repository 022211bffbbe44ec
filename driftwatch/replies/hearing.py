"""Hearing: gives both models' replies of an observation to the judge, which answers now or at a later observation.

A remote judge (`is_remote`) reads on its own thread. Training does not wait for it, and its judgements are attached to
the observation that they belong to, in the order of observations. If several ranks train, every judge reads on such a
thread, and rank 0 waits for it only as long as the other ranks can wait; what it judges later counts at the next
observation. The judge gets the replies of both models alternately, so that a deadline, an outage or a change of the
judge affects both alike and cannot look like a change of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from driftwatch.errors import JudgeError
from driftwatch.host.ranks import judge_seconds
from driftwatch.judges.judge import Asked, Judge, Judgement
from driftwatch.judges.judging import read, read_again
from driftwatch.judges.worker import JudgeWorker, Late


@dataclass(frozen=True, slots=True)
class Heard:
    """The judgements of one observation; all lists are in the order of its draws.

    Attributes:
        look: The observation's number.
        now: Judgements of the replies of the model in training.
        baseline: Judgements of the baseline's replies.
        again: Second judgements of the baseline's replies; `None` if they were not asked for, or failed.
    """

    look: int
    now: list[Judgement]
    baseline: list[Judgement]
    again: list[Judgement] | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """An observation whose replies the judge did not read, and why."""

    look: int
    why: str


class Hearing:
    """Gives replies to a judge that is frozen for the life of a run; on rank 0 only.

    Args:
        judge: The judge; one with `is_remote` set reads while training goes on, every other one reads at once.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.judge_id = judge.id
        self._is_remote = bool(getattr(judge, "is_remote", False))
        self._worker: JudgeWorker | None = None  # on rank 0, once there is something to read
        self._waiting: dict[int, bool] = {}  # observation → whether a part of it is read twice

    def put(
        self, look: int, now: Sequence[Asked], baseline: Sequence[Asked], *, wait: float, twice: bool = False
    ) -> list[Heard | Missed]:
        """Hand over one observation's replies, and return all judgements that are ready, also of earlier observations.

        Args:
            look: The observation's number.
            now: Replies of the model in training, one per draw.
            baseline: Replies of the baseline to the same draws.
            wait: Seconds to wait for a remote judge; 0 while training goes on.
            twice: Whether the baseline's replies are judged a second time, after the judgements that count. It is
                skipped while an earlier observation still waits for that, and when the caller waits for a remote
                judge, since the extra time might cost the observation.

        Raises:
            JudgeError: A judge that reads at once failed, or is not the one that the run began with.
        """
        pairs = zip(now, baseline, strict=True)
        # The two models also take turns in who comes first in a pair, since a deadline may fall inside a pair.
        both = tuple(one for n, pair in enumerate(pairs) for one in (pair if _now_first(look, n) else pair[::-1]))
        has_time = not any(self._waiting.values()) and not (self._is_remote and wait > 0)
        again = tuple(baseline) if twice and has_time else ()
        limit = judge_seconds()
        if limit is None and not self._is_remote:
            return [self._read_now(look, both, again)]
        longest = min(wait, limit or wait) if self._is_remote else limit or 0.0
        self._waiting[look] = bool(again)
        found = [self._told(late) for late in self._exchange(look, both, again, longest)]
        if not both:  # nothing to wait for
            self._waiting.pop(look)
            found.append(_heard(look, []))
        if wait > 0:
            why = f"the judge had not read them {longest:g} s after training"
            found += [Missed(late, why) for late in self._waiting]
            self.close()
        return found

    def close(self) -> None:
        """Give up the replies that are not judged yet, and end the thread."""
        self._waiting.clear()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close(0.0)

    def is_waiting(self, look: int) -> bool:
        """Whether the judge has not read this observation yet."""
        return look in self._waiting

    @property
    def num_waiting(self) -> int:
        """Number of observations that the judge has not read yet."""
        return len(self._waiting)

    def _read_now(self, look: int, both: tuple[Asked, ...], again: tuple[Asked, ...]) -> Heard:
        readings = read(self._judge, both, expected_id=self.judge_id)
        return _heard(look, readings, read_again(self._judge, again, expected_id=self.judge_id))

    def _exchange(self, look: int, both: tuple[Asked, ...], again: tuple[Asked, ...], wait: float) -> list[Late]:
        if self._worker is None:
            self._worker = JudgeWorker(self._judge, expected_id=self.judge_id)
        arrived = self._worker.collect()
        try:
            if both:
                self._worker.submit(look, both, again)
        except JudgeError as err:
            return [*arrived, Late(look, None, str(err), 0.0)]
        return [*arrived, *(self._worker.wait(wait) if wait > 0 else self._worker.collect())]

    def _told(self, late: Late) -> Heard | Missed:
        self._waiting.pop(late.look)
        if late.readings is None:
            return Missed(late.look, late.failure or "no reason given")
        return _heard(late.look, late.readings, late.again)


def _heard(look: int, readings: Sequence[Judgement], again: list[Judgement] | None = None) -> Heard:
    pairs = [
        (a, b) if _now_first(look, n) else (b, a)
        for n, (a, b) in enumerate(zip(readings[::2], readings[1::2], strict=True))
    ]
    return Heard(look, [now for now, _ in pairs], [baseline for _, baseline in pairs], again)


def _now_first(look: int, pair: int) -> bool:
    """Whether the model in training stands before the baseline in this pair."""
    return (look + pair) % 2 == 0
