"""Run: one run that has begun, on every rank. Nothing in it is optional.

    decide how much → ask the screen → draw replies → compare with the baselines → record → hand over

Nothing here swallows errors: `callback.py` holds the one guard. If an observation is abandoned, its changes are undone.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from driftwatch.host.exchange import Line
from driftwatch.host.guard import undisturbed
from driftwatch.host.life import End
from driftwatch.host.ranks import broadcast, num_ranks, on_first, part, rank, together
from driftwatch.host.replicas import differing, held
from driftwatch.record.record import Cost, Failure, Phase, Record
from driftwatch.replies.confirmation import MIN_DRAWS
from driftwatch.watch.baselines import Baselines
from driftwatch.watch.budget import Controller, Decision, Spent, Workload
from driftwatch.watch.instrument import Instrument
from driftwatch.watch.keeping import left_by
from driftwatch.watch.observation import Observation, Screened, describe, log_line, watched
from driftwatch.watch.opening import Opened
from driftwatch.watch.output import NoOutput, Output
from driftwatch.watch.replies import Asked, Heard, Stage
from driftwatch.watch.stopwatch import Stopwatch

logger = logging.getLogger(__name__)

MAX_ABSENCES = 3  # absences of a rank in a row, after which watching ends: training waits at each of them
INTERVALS, NUMERIC_FLOOR, EVIDENCE = range(3)  # last part of a generator's key: what the numbers are for
EVERYTHING = Decision(True)


@dataclass(frozen=True, slots=True)
class Host:
    """What a run needs of the training that it is a guest of.

    Attributes:
        line: The connection to the other ranks; `None` in a single process.
        find_optimizer: Returns the optimizer, because the guard needs schedule-free ones; `None` if it is gone.
        clock: Returns monotonic seconds.
    """

    line: Line | None
    find_optimizer: Callable[[], Any]
    clock: Callable[[], float]


class Run:
    """One attempt at a run.

    Args:
        opened: The run's folder, description, baselines and totals so far.
        host: The training.
        instrument: Asks the screen.
        stage: Draws replies and has them judged.
        controller: Decides how much is asked.
        output: Writes and exports what the run produces.
        seed: Seed of everything that is drawn; the same on every rank.
        step: Optimizer steps done.
        failures: Number of failures before there was a run to count them in, by kind.
        watch: The stopwatch that has counted the seconds of the beginning.

    Attributes:
        info: The run's description, which stays the same unless replies had to be refused.
        last: The latest record; a new run has its first one right after it has begun.
        next_look: Number of the next observation.
        last_step: Step of the latest observation, or of the beginning.
        is_whole: Whether the latest observation asked the whole bank.
    """

    def __init__(
        self,
        opened: Opened,
        host: Host,
        *,
        instrument: Instrument,
        stage: Stage,
        controller: Controller,
        output: Output | NoOutput,
        seed: int,
        step: int,
        failures: Mapping[str, int],
        watch: Stopwatch,
    ) -> None:
        self.info, self.last, self.attempt = opened.info, opened.last, opened.attempt
        self.next_look, self.last_step = opened.next_look, step
        self.stage, self.controller, self.output = stage, controller, output
        self.folder = opened.folder
        self.is_whole = opened.last is not None and _asked_all(opened.last, step, opened.baselines)
        self._host, self._instrument, self._baselines, self._seed = host, instrument, opened.baselines, seed
        self._plan = EVERYTHING  # what was decided for the next observation
        self._watch = watch  # counts the seconds of the present observation
        self._observations = opened.totals.observations_total
        self._failures = Counter(opened.totals.failures_total) + Counter(failures)
        self._export_failures = Counter(opened.totals.export_failures_total)
        self._told: set[str] = set()  # causes of failures that were logged already

    # Deciding whether to observe

    def is_due(self, step: int, *, is_off: bool = False) -> bool:
        """As `Monitor.is_due`."""
        with part(self._host.line, f"due-{step}"):
            if not self.controller.is_due(step):
                return False
            return self._decide(step, is_last=self.controller.is_over(step), is_off=is_off)

    def is_wanted_at_end(
        self,
        step: int,
        *,
        is_off: bool = False,
        weights_changed: bool = False,
        trained_on: bool = False,
        is_before_change: bool = False,
    ) -> bool:
        """As `Monitor.is_wanted_at_end`."""
        with part(self._host.line, f"over-{step}"):
            found = together(lambda: weights_changed, "comparing the weights that are left")
            is_seen = self.last_step == step and self.is_whole and not self.stage.has_waiting and not trained_on
            is_left = not (is_seen or any(found)) if is_before_change else not is_seen or any(found)
            return on_first(lambda: not (is_off or self.output.is_taken) and is_left, "the end of training")

    def _decide(self, step: int, *, is_last: bool = False, is_off: bool = False) -> bool:
        """Whether to observe now; keeps rank 0's decision on how much to ask."""

        def decide() -> Decision:
            self.weigh()
            is_off_now = is_off or self.output.is_taken
            return Decision(False) if is_off_now else self.controller.decide(step, is_last=is_last)

        self._plan = on_first(decide, "deciding whether to observe")
        self.controller.heed(self._plan)
        return self._plan.look

    def weigh(self) -> None:
        """Tell the controller what an observation without a limit would ask."""
        wanted = self.stage.wanted(self._screened())
        draws = sum(wanted.values())
        self.controller.full = Workload(self._instrument.num_blocks, draws, min(len(wanted) * MIN_DRAWS, draws))

    def _screened(self) -> list[str]:
        """Topics that the latest observation makes worth a closer one."""
        return [] if self.last is None else watched(self.last, self.info)

    # Making an observation

    def observe(self, model: Any, step: int, *, phase: Phase = "train", weights: str = "") -> Record:
        """As `Monitor.observe`."""
        with part(self._host.line, f"{phase}-{step}"):
            stage, before = self.stage, self.stage.snapshot()
            self._watch = Stopwatch(self._host.clock)
            try:
                observation, record = self._observe(model, step, phase, weights)
            except Exception:
                self.stage = stage
                stage.restore(before)
                raise
            return self.hand_over(observation, record)

    def _observe(self, model: Any, step: int, phase: Phase, weights: str) -> tuple[Observation, Record]:
        if phase == "end":
            self._decide(step, is_last=True)
        look, plan, self._plan = broadcast(self.next_look), self._plan, EVERYTHING
        with undisturbed(model, optimizer=self._host.find_optimizer()) as asked:
            apart = self._replicas(asked)
            screened = self._screen(asked, plan, step)
            heard = self._hear(asked, plan, look, step, is_last=phase == "end" or self.controller.is_over(step))
        observation = _observed(look, step, phase, screened, heard, apart=apart, weights=weights)
        # Rank 0 makes the record for all ranks; once it is made, no rank abandons the observation any more.
        return observation, on_first(lambda: self.described(observation), "making the record")

    def _replicas(self, asked: Any) -> str | None:
        """A sentence on how the ranks' replicas differ, `None` if they do not; if so, only rank 0's is asked."""
        line = self._host.line
        if line is None:
            return None
        apart = differing(together(lambda: held(asked), "comparing what ranks hold"), asked)
        line.is_apart = apart is not None
        return apart

    def _screen(self, asked: Any, plan: Decision, step: int) -> Screened:
        blocks = plan.blocks if plan.is_partial else None
        self.is_whole = False  # until the whole bank has been asked
        with self._watch("screen"):
            stances, failed = self._instrument.ask_each(asked, blocks)
        # Several ranks abandon an observation together; and an observation without any figure is none.
        if failed and (num_ranks() > 1 or not (stances or self.info.replies_drawn)):
            raise failed[0][1]
        found = screened_by(self._instrument, stances, failed, blocks)
        for kind, err in failed:
            cause = f"{type(err).__name__}: {err}"
            if cause not in self._told:
                self._told.add(cause)
                text = "the probe %s failed at step %d, the observation goes on: %s"
                logger.warning(text, kind, step, cause, exc_info=err)
        self._failures += Counter(found.kinds)
        self.is_whole = found.is_whole
        return found

    def _hear(self, asked: Any, plan: Decision, look: int, step: int, *, is_last: bool) -> Heard:
        limit = None if plan is EVERYTHING else plan.draws
        wanted = Asked(self.attempt, look, step, self._screened(), limit, is_last, self.rng(look, EVIDENCE))
        heard = self.stage.observe(asked, wanted, self._watch)
        self.stage = heard.stage
        self._failures += Counter(heard.kinds)
        self.see_refusal()
        return heard

    def see_refusal(self) -> None:
        """Write into the run's description that it draws no more replies, if the stage has refused them."""
        why = self.stage.refused
        if why is not None and self.info.replies_refused != why:
            self._failures["confirm/refused"] += 1
            self.info = replace(self.info, replies_drawn=False, replies_refused=why)
            self.output.describe(self.info)

    def described(self, observation: Observation) -> Record:
        """The record of an observation; on rank 0."""
        return describe(
            observation,
            self.info,
            self._baselines,
            watch=self._watch,
            attempt=self.attempt,
            cost=self._cost(),
            before=() if self.last is None else self.last.evidence,
            fault_before=None if self.last is None else self.last.fault,
            validity=self.stage.validity,
            noise=self.stage.noise,
            rng=self.rng(observation.look, INTERVALS),
        )

    def hand_over(self, observation: Observation, record: Record) -> Record:
        """Count an observation, log one line of its record, and give it to the thread that delivers."""
        self._watch = Stopwatch(self._host.clock)
        self.next_look, self.last_step = observation.look + 1, observation.step
        self._observations += 1
        self.last = record
        self._failures = Counter(record.cost.failures_total)
        draws = 0 if observation.confirmed is None else observation.confirmed.draws
        self.controller.record(Spent(record.cost.seconds, observation.screened.blocks, draws))
        saved, keep = self.stage.saved(), self.stage.are_kept
        left = left_by(observation, self.attempt, saved, self.controller.books, keep_replies=keep)
        if self.output.hand_over(record, left, self.info) and observation.confirmed is not None:
            self.stage.handed_over()
        if rank() == 0:
            logger.info("%s", log_line(record, self.info))
            for alert in record.alerts:
                logger.warning("%s: %s", alert.severity, alert.text)
        return record

    def fail(self, step: int, err: Exception) -> None:
        """Record that an observation failed; on rank 0."""
        if rank() != 0:
            return
        reason = type(err).__name__
        self._failures[f"monitor/{reason}"] += 1
        failure = Failure("monitor", f"{reason}: {err}")
        observation = Observation(self.next_look, step, "train", failures=(failure,))
        self.hand_over(observation, self.described(observation))

    def close(self, reason: End) -> None:
        """Deliver what waits, say how the run ended, and let go of the model. Safe to repeat."""
        self.output.close(reason)
        self._host = replace(self._host, find_optimizer=lambda: None)
        self.stage.release()

    def _cost(self) -> Cost:
        """Running totals, before this observation's own figures."""
        return Cost(
            overhead_ratio=self.controller.overhead_ratio,
            observations_total=self._observations + 1,
            failures_total=dict(self._failures),
            export_failures_total=dict(self._export_failures + self.output.failures),
        )

    def rng(self, look: int, part: int) -> np.random.Generator:
        """A separate random generator for each purpose, so that a record can be recomputed in any order."""
        return generator(self._seed, self.attempt, look, part)


def generator(seed: int, attempt: int, look: int, part: int) -> np.random.Generator:
    """The random generator for one purpose of one observation."""
    return np.random.default_rng(np.random.SeedSequence([seed, attempt, look, part]))


def screened_by(
    instrument: Instrument,
    stances: "list[Any]",
    failed: "list[tuple[str, Exception]]",
    blocks: "tuple[int, ...] | None" = None,
) -> Screened:
    """What the screen found on the whole bank or some blocks; a probe that failed costs only its own figures."""
    part_of = () if blocks is None else (f"{len(blocks)} of {instrument.num_blocks} blocks of the bank were asked",)
    return Screened(
        stances=tuple(stances),
        blocks=instrument.num_blocks if blocks is None else len(blocks),
        tokens=instrument.tokens_scored(blocks),
        is_whole=blocks is None and not failed,
        failures=tuple(Failure(kind, f"{type(err).__name__}: {err}") for kind, err in failed),
        kinds=Counter(f"{kind}/{type(err).__name__}" for kind, err in failed),
        notes=part_of,
    )


def _observed(
    look: int, step: int, phase: Phase, screened: Screened, heard: Heard, *, apart: str | None, weights: str
) -> Observation:
    put_in = (f"these are the weights of {weights}, put in place at the end of training",) if weights else ()
    return Observation(
        look,
        step,
        phase,
        screened,
        heard.confirmed,
        failures=(*screened.failures, *heard.failures),
        notes=(*put_in, *(() if apart is None else (apart,)), *screened.notes, *heard.notes),
        weights=weights,
    )


def _asked_all(last: Record, step: int, baselines: Baselines) -> bool:
    """Whether the latest record of a run that goes on is of this step, and asked what the first one asked."""
    first = baselines.known["start"].stances
    probes = {stance.probe for stance in first}
    return (
        last.step == step
        and not last.weights
        and len(first) == sum(stance.num_items for stance in last.stances if stance.probe in probes)
    )
