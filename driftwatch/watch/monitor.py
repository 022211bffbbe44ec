"""Monitor: the whole pipeline of one look; also the way in for training loops without a Trainer.

    ask the model (guarded) → calibrate → compare with the baselines → record → deliver

Nothing here catches errors: `callback.py` holds the one guard.
"""

import logging
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import numpy as np

from driftwatch import plugins
from driftwatch.drift.compare import BaselineName
from driftwatch.errors import ConfigError
from driftwatch.evidence.tolerance import TOLERATED, tolerated
from driftwatch.exporters.delivery import Delivery, Parcel
from driftwatch.exporters.exporter import BesideTrainer, Exporter
from driftwatch.host import life
from driftwatch.host.copying import renewed
from driftwatch.host.exchange import Line
from driftwatch.host.guard import undisturbed
from driftwatch.host.life import End, TrainingLoop, how_it_ended, nothing, weakly
from driftwatch.host.ranks import broadcast, meet, num_ranks, on_first, part, rank, tell, together
from driftwatch.host.replicas import differing, held, try_out
from driftwatch.probes.probe import Probe
from driftwatch.record.record import Cost, Failure, Phase, Record, RunInfo
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.vllm import Engine
from driftwatch.store.folder import absolute
from driftwatch.store.run_store import RunStore, valid_run_name
from driftwatch.topics import TopicPack
from driftwatch.watch.arguments import check_kinds
from driftwatch.watch.baselines import Baselines, begin_baselines, load_baseline
from driftwatch.watch.branching import Checkpoint, branched, can_branch
from driftwatch.watch.budget import Books, Controller, Decision, Spent
from driftwatch.watch.instrument import Asking
from driftwatch.watch.keeping import (
    BASELINE_REPLIES,
    BUDGET_FILE,
    kept_books,
    kept_evidence,
    left_by,
)
from driftwatch.watch.observation import Observation, describe, log_line, watched
from driftwatch.watch.opening import Opened, Settings, new_run_id, opened, reopened, seed_of
from driftwatch.watch.replies import Replies
from driftwatch.watch.schedule import Schedule

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MAX_ABSENCES = 3  # of a rank in a row; then nothing more is watched, since each costs training the wait for it
CLOSE_SECONDS = 20.0  # how long the end of training waits for the last look to be delivered
GoingOn = Literal["same", "branch"]
INTERVALS, NUMERIC_FLOOR, EVIDENCE = range(3)  # parts of a generator's key


def _on_all_ranks(begin: "Callable[Concatenate[Monitor, P], T]") -> "Callable[Concatenate[Monitor, P], T]":
    """A beginning that all ranks make together, after they have met."""

    @wraps(begin)
    def begin_together(self: "Monitor", *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._has_met:
            self.meet()
        self._has_met = False
        with self.part("begin"):
            return begin(self, *args, **kwargs)

    return begin_together  # type: ignore[return-value] # mypy's name for what `wraps` gives


class Monitor:
    """Asks a model in training, again and again, where it stands, and reports how that has moved.

    Args:
        pack: Topic pack, or its name or path.
        baseline: Folder of an SFT run or of `driftwatch baseline`; `None` compares with the start of this run, and with
            the SFT model where switching adapters reaches it.
        alerting_baseline: Which baseline alerts rest on; `None` prefers "sft" where there is one, and it can be asked
            for replies if they are drawn.
        probes: Names or objects.
        confirm: How replies are drawn and who reads them; `None` leaves it at the screen, and states stop at "watch".
        schedule: At which steps to look, and at what share of wall time; `is_due` follows it.
        alpha: Probability of any false alert in the whole run that is tolerated, in (0, 1).
        tolerance: Drift that is put up with, as a change of a stance's share in [0, 1); an alert beyond it is
            "material". One number, or a number by topic, with "default" for the others. A resumed run takes no other.
        run: Name of the run, the `run` label of every metric; `None` makes one from the time.
        output_dir: Folder in which the run's folder is made.
        exporters: Names or objects.
        seed: Of everything that is drawn; `None` derives it from the run's own id, so that another training draws other
            questions and does not repeat a false alarm. Kept with the run; a resumed run goes on with its own.
        clock: Seconds, monotonic; a parameter for tests.

    A run ends with `close`, and also when the monitor is collected, the process ends or SIGTERM stops it. A copy, by
    `copy` or `pickle`, has the same settings and no run.

    Raises:
        ConfigError, PackError, PluginError: A setting that cannot work.
    """

    def __init__(
        self,
        pack: str | Path | TopicPack = "core",
        *,
        baseline: str | Path | None = None,
        alerting_baseline: BaselineName | None = None,
        probes: Sequence[str | Probe] = ("statement",),
        confirm: Confirmation | None = None,
        schedule: Schedule | None = None,
        alpha: float = 0.01,
        tolerance: float | Mapping[str, float] = TOLERATED,
        run: str | None = None,
        output_dir: str | Path = "driftwatch-runs",
        exporters: Sequence[str | Exporter] = ("prometheus",),
        seed: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_kinds(confirm, schedule, alerting_baseline, probes=probes, exporters=exporters)
        if not 0 < alpha < 1:
            raise ConfigError(f"alpha is a probability between 0 and 1, for example 0.01; found {alpha}.")
        self.run = valid_run_name(run) if run is not None else None
        self.output_dir = absolute(output_dir)
        self.store: RunStore | None = None
        self.info: RunInfo | None = None
        self.attempt = 0
        self.last: Record | None = None
        self._asking = Asking(pack, probes)
        # What a copy is made with; a path stays what it is, wherever that is.
        self.settings: dict[str, Any] = {
            "pack": self._asking.pack,
            "baseline": None if baseline is None else absolute(baseline),
            "alerting_baseline": alerting_baseline,
            "probes": tuple(probes),
            "confirm": confirm,
            "schedule": schedule,
            "alpha": alpha,
            "tolerance": tolerance,
            "run": run,
            "output_dir": self.output_dir,
            "exporters": tuple(exporters),
            "seed": seed,
            "clock": clock,
        }
        self._replies = Replies(confirm, self._asking)
        self._exporters: list[Exporter] = [plugins.made("exporters", exporter) for exporter in exporters]
        self._source = self.settings["baseline"]
        self._alerting = alerting_baseline
        self._schedule = schedule or Schedule()
        self._alpha = alpha
        topics = self._asking.pack.topics
        values, controls = ([t.id for t in topics if t.control == is_control] for is_control in (False, True))
        self._tolerance = tolerated(tolerance, values, controls)
        self._given_seed, self._seed = seed, 0
        self._folder = self.output_dir  # the run's own, once it has one
        self._clock = clock
        self._find_optimizer: Callable[[], Any] = nothing
        self._baselines: Baselines | None = None
        self._delivery: Delivery | None = None
        self._loop: TrainingLoop | None = None
        self._controller = Controller(self._schedule, clock=clock)
        self._decision: Decision | None = None
        self._open: Observation | None = None  # a look that is being made
        self._line: Line | None = None  # to the other ranks, for the run that begins or goes on
        self._has_met = False  # for a run that has not begun yet
        self._is_whole = False
        self._next_look = 0
        self._last_step = 0
        self._observations = 0
        self._failures: Counter[str] = Counter()
        self._export_failures: Counter[str] = Counter()
        self._not_begun: Counter[str] = Counter()  # failures before there was a run to count them in
        self._told: set[str] = set()  # causes that were said already

    def __reduce__(self) -> tuple[Any, ...]:
        return renewed, (Monitor, self.settings, {})

    # The life of a run: begin, observe, …, close

    def attach(self, args: Any, state: Any) -> None:
        """Name the Trainer's settings and state to the exporters that write beside its own figures; before `begin`."""
        for exporter in self._exporters:
            if isinstance(exporter, BesideTrainer):
                exporter.attach(args, state)

    def meet(self) -> None:
        """Find the other ranks for the run that will begin; `begin` does, where nobody has before.

        Raises:
            RanksError: Not all came in time. Nothing can be watched.
        """
        self._line = None
        self._line, self._has_met = meet(), True

    @property
    def has_met(self) -> bool:
        """Whether this rank is in step with the others; always, in a single process."""
        return num_ranks() == 1 or self._line is not None

    def part(self, name: str) -> AbstractContextManager[None]:
        """Something that all ranks do together, by a name that is the same on all; after `meet`."""
        return part(self._line, name)

    @_on_all_ranks
    def begin(
        self,
        model: Any,
        tokenizer: Any,
        *,
        step: int = 0,
        planned_steps: int | None = None,
        model_name: str | None = None,
        trainer: str | None = None,
        optimizer: Any = None,
        engine: Engine | str | None = None,
        resume: str | Path | Checkpoint | None = None,
        loop: TrainingLoop | None = None,
        notes: Sequence[str] = (),
    ) -> Record | None:
        """Prepare the probes, find the baselines, and take the first look; on every rank.

        Args:
            model: The model in training.
            tokenizer: Its tokenizer or processor.
            step: Optimizer steps already done.
            planned_steps: The step at which training will end; `None` if unknown.
            model_name: For people; `None` asks the model's config.
            trainer: Class of the trainer.
            optimizer: Schedule-free optimizers need it.
            engine: What `find_engine` says of the trainer: who writes the replies in place of this process.
            resume: Folder of the run that goes on under a new attempt number, or where a checkpoint stands in it;
                `None` begins a new run. Where another process writes that run, or training goes on in another output
                folder, a run of its own branches off there.
            loop: The training loop; where it is known, its end ends the run, whatever has ended it.
            notes: Sentences for the reader of a new run.

        Returns:
            The record of the first look; `None` on a resume, which goes on from the looks that are there.

        Raises:
            ConfigError, BaselineError, StoreError: What cannot work, said before any training time is spent.
        """
        self.close(how_it_ended())  # of an earlier training with this monitor; nothing if there was none
        self._find_optimizer, self._last_step, self._decision = weakly(optimizer), step, None
        self._loop = loop
        at = Checkpoint(Path(resume), step) if isinstance(resume, str | Path) else resume
        going_on = None if at is None else on_first(lambda: self._how_to_go_on(at), "going on with a run")
        try:
            return self._begin(model, tokenizer, at, going_on, step, planned_steps, model_name, trainer, engine, notes)
        except BaseException:
            if self._delivery is None and at is not None and going_on == "same" and rank() == 0:
                RunStore(at.folder).release()
            raise

    def _how_to_go_on(self, at: Checkpoint) -> GoingOn | None:
        """As the same run, as a branch of it, or not at all; on the first rank."""
        life.settle()
        if not at.is_elsewhere and RunStore(at.folder).claim():
            return "same"
        if not at.is_elsewhere:
            logger.warning(
                "another process writes the run in %s and lives; this training gets a run of its own, which branches "
                "off at step %d",
                at.folder,
                at.step,
            )
        if can_branch(at, with_replies=self._replies.are_drawn):
            return "branch"
        logger.warning(
            "training goes on from step %d of the run in %s, which has not kept its evidence as of then; a new run "
            'begins here, whose baseline "start" is this step',
            at.step,
            at.folder,
        )
        return None

    def _begin(
        self,
        model: Any,
        tokenizer: Any,
        at: Checkpoint | None,
        going_on: GoingOn | None,
        step: int,
        planned_steps: int | None,
        model_name: str | None,
        trainer: str | None,
        engine: Engine | str | None,
        notes: Sequence[str],
    ) -> Record | None:
        """As `begin`, once it is known how."""
        before, kept = Books(), None
        if at is not None and going_on is not None:
            origin = at.folder
            if going_on == "same" and rank() == 0:
                before = kept_books(RunStore(origin))
            kept = on_first(lambda: RunStore(origin).info().identity, "going on with a run")
        self._controller = Controller(
            self._schedule, planned_steps=planned_steps, clock=self._clock, decides=rank() == 0, before=before
        )
        first = Observation(0, step, "start", self._clock)
        with first.stage("prepare"), undisturbed(model, tokenizer=tokenizer, optimizer=self._find_optimizer()) as asked:
            self._note_replicas(first, try_out(asked))
            self._asking.prepare(asked, tokenizer)
            identity = self._asking.identity(asked)
            identity |= self._replies.prepare(asked, tokenizer, engine=engine, kept=kept)
        if at is not None and going_on is not None:
            known, place = at, (self.output_dir, self.run)
            settings = self._evidence_settings
            if going_on == "same":
                run = on_first(lambda: reopened(known.folder, identity, settings), "going on with a run")
            else:
                run = on_first(lambda: branched(known, *place, identity, settings), "branching off from a run")
            self._take_up(run)
        else:
            self._take_up(self._begin_anew(first, model, identity, model_name or _name_of(model), trainer, notes))
        is_resumed = going_on is not None
        with first.stage("baseline"):
            self._begin_replies(model, first, is_resumed)
        self._controller.full = self._replies.workload(self._screened())
        on_first(lambda: self._open_delivery(step, is_resumed=is_resumed), "opening the run")
        if not is_resumed:
            self._announce_the_end(first)
            return self._hand_over(first, on_first(lambda: self._described(first), "making the record"))
        self._controller.record(Spent(first.seconds, 0, 0))
        # An attempt that ends before its first look has cost this much all the same.
        on_first(self._keep_books, "keeping what the run has taken")
        return None

    def _keep_books(self) -> None:
        if self.store is not None:
            self.store.write_json(BUDGET_FILE, self._controller.books)

    def is_due(self, step: int, *, is_off: bool = False) -> bool:
        """Whether to call `observe` now; to be asked after every step, on every rank.

        Args:
            step: Optimizer steps done.
            is_off: Whether nothing is to be asked just now; rank 0's word counts.

        Raises:
            RanksError: The ranks could not agree.
        """
        controller = self._controller
        if not controller.is_due(step):
            return False
        with self.part(f"due-{step}"):
            return self._decide(step, is_last=controller.is_over(step), is_off=is_off).look

    def is_wanted_at_end(
        self, step: int, *, is_off: bool = False, weights_changed: bool = False, is_before_change: bool = False
    ) -> bool:
        """Whether one more look is due after training.

        It is where the latest one was not at the last step, not of the whole bank, or not of the weights that are left,
        and for replies that a judge still reads.

        Args:
            step: The last one.
            is_off: Whether nothing is to be asked just now; rank 0's word counts.
            weights_changed: Whether this rank's weights are others than those that were asked last.
            is_before_change: Whether to ask for the weights of the last step before others take their place; where
                they have on some rank, it is too late.
        """
        is_seen = self._last_step == step and self._is_whole and not self.has_waiting
        with self.part(f"over-{step}"):
            found = together(lambda: weights_changed, "comparing the weights that are left")
            is_left = not (is_seen or any(found)) if is_before_change else not is_seen or any(found)
            return on_first(lambda: not is_off and is_left, "the end of training")

    def observe(self, model: Any, step: int, *, phase: Phase = "train", weights: str = "") -> Record:
        """Take one look: ask, compare, record, deliver.

        Args:
            model: The model in training.
            step: Optimizer steps done.
            phase: "end" after the last update.
            weights: What the model holds, in words, where it is not the weights of this step.

        Raises:
            ProbeError: The model could not be asked; nothing about the training run has changed.
        """
        before = self._replies.snapshot()
        try:
            with self.part(f"{phase}-{step}"):
                if phase == "end":
                    self._decide(step, is_last=True)
                look = broadcast(self._next_look)
                self._open = observation = Observation(look, step, phase, self._clock, weights=weights)
                if weights:
                    observation.notes.append(f"these are the weights of {weights}, put in place at the end of training")
                with undisturbed(model, optimizer=self._find_optimizer()) as asked:
                    if self._line is not None:
                        found = together(lambda: held(asked), "comparing what ranks hold")
                        self._note_replicas(observation, differing(found, asked))
                    self._ask(asked, observation)
                # Rank 0's record is everybody's; and once it is made, nobody abandons the look any more.
                record = on_first(lambda: self._described(observation), "making the record")
        except Exception:
            self._replies.restore(before)
            raise
        return self._hand_over(observation, record)

    def fail(self, step: int, err: Exception) -> None:
        """Record that a look failed; the next one is tried as if nothing had happened."""
        unfinished = self._open
        self._open = None
        tell(self._line, f"train-{step}", err)
        if rank() != 0:
            return
        reason = type(err).__name__
        if self.info is None or self._baselines is None:
            self._not_begun[f"monitor/{reason}"] += 1
            return
        self._failures[f"monitor/{reason}"] += 1
        observation = Observation(self._next_look, step, "train", self._clock)
        if unfinished is not None:
            observation.seconds.update(unfinished.seconds)  # what it took is spent all the same
        observation.failures.append(Failure("monitor", f"{reason}: {err}"))
        self._hand_over(observation, self._described(observation))

    def close(self, reason: End) -> None:
        """End the run: deliver what waits and say how it ended ("finished", "stopped" or "failed"). Safe to repeat.

        Nothing of the model or the trainer is held afterwards.
        """
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.close(reason, timeout=CLOSE_SECONDS)
        self._find_optimizer, self._open = nothing, None
        self._replies.release()

    def end_with(self, one: Any) -> None:
        """Have the run end when an object is collected, such as the model of a training that was given up."""
        if self._delivery is not None:
            _end_when_collected(one, self._delivery)

    @property
    def is_alone(self) -> bool:
        """Whether other ranks have not come several times in a row, so that waiting for them is in vain."""
        return self._line is not None and self._line.absences >= MAX_ABSENCES

    @property
    def url(self) -> str | None:
        """Where the run is served, once it has begun; `None` if no exporter serves it."""
        return next((url for url in (getattr(e, "url", None) for e in self._exporters) if url), None)

    @property
    def is_whole(self) -> bool:
        """Whether the latest look has asked the whole bank; the last one of a run has to."""
        return self._is_whole

    @property
    def has_waiting(self) -> bool:
        """Whether a remote judge still reads replies, for which one more look at the end would wait."""
        return self._replies.has_waiting

    @property
    def progress(self) -> dict[str, Any]:
        """Where the run is kept and how far it is: what a checkpoint needs for the run to go on."""
        folder = str(self.store.folder) if self.store is not None else None
        return {
            "folder": folder,
            "attempt": self.attempt,
            "look": self._next_look,
            "step": self._last_step,
            "pack": self._asking.pack.digest,
        }

    # Stages

    @property
    def _evidence_settings(self) -> Settings:
        return Settings(self._alpha, self._tolerance, self._given_seed)

    def _start_delivery(self, store: RunStore, info: RunInfo) -> None:
        self._delivery = Delivery(store, self._exporters, attempt=self.attempt, step=self._last_step, loop=self._loop)
        self._delivery.start(info)
        _end_when_collected(self, self._delivery)

    def _note_replicas(self, observation: Observation, apart: str | None) -> None:
        """Ask the replica of rank 0 alone where the others have other weights."""
        if self._line is not None:
            self._line.is_apart = apart is not None
        if apart is not None:
            observation.notes.append(apart)

    def _decide(self, step: int, *, is_last: bool = False, is_off: bool = False) -> Decision:
        """Whether and how much to ask, as rank 0 sees it."""
        controller = self._controller

        def decide() -> Decision:
            controller.full = self._replies.workload(self._screened())
            return Decision(False) if is_off else controller.decide(step, is_last=is_last)

        decision = on_first(decide, "deciding whether to look")
        controller.heed(decision)
        self._decision = decision
        return decision

    def _begin_anew(
        self,
        first: Observation,
        model: Any,
        identity: dict[str, str],
        model_name: str,
        trainer: str | None,
        notes: Sequence[str],
    ) -> Opened:
        """Take the first look, and find what all others will be compared with."""
        run_id = on_first(new_run_id, "beginning a run")
        self._draw_with(seed_of(run_id) if self._given_seed is None else self._given_seed)
        source = self._source
        given = None if source is None else on_first(lambda: load_baseline(source), "reading the baseline")
        with undisturbed(model, optimizer=self._find_optimizer()) as asked:
            self._ask(asked, first)
            with first.stage("baseline"):
                baselines = begin_baselines(
                    first.stances,
                    asked,
                    identity,
                    asking=self._asking,
                    given=given,
                    alerting=self._alerting,
                    replies=self._replies.are_drawn,
                    model_name=model_name,
                    rng=self._rng(0, NUMERIC_FLOOR),
                )
        baselines = self._replies.within_reach(baselines)
        without = [f"the probe {kind} failed at the start: {why}" for kind, why in self._asking.left_out.items()]
        baselines = replace(baselines, notes=(*notes, *without, *baselines.notes))

        def make() -> Opened:
            return opened(
                self.output_dir,
                self.run,
                pack=self._asking.pack,
                baselines=baselines,
                identity=identity,
                model_name=model_name,
                trainer=trainer,
                settings=self._evidence_settings,
                replies_drawn=self._replies.are_drawn,
                replies_refused=self._replies.refused,
                run_id=run_id,
                seed=self._seed,
            )

        return on_first(make, "making the run's folder")

    def _open_delivery(self, step: int, *, is_resumed: bool) -> None:
        """Begin to write and to export; on rank 0."""
        assert self.store is not None
        assert self.info is not None
        for reply in () if is_resumed else self._replies.pool:
            self.store.append_line(BASELINE_REPLIES, reply)
        self.store.append_event("begin", attempt=self.attempt, step=step)
        self._start_delivery(self.store, self.info)

    def _take_up(self, run: Opened) -> None:
        """Go on from how the run stands, on every rank."""
        self.store, self._folder = RunStore(run.folder) if rank() == 0 else None, run.folder
        self.info, self._baselines, self.last = run.info, run.baselines, run.last
        self.attempt, self._next_look = run.attempt, run.next_look
        # Runs of before seeds were kept went on with what they were given, and 0 was what they were given.
        self._draw_with(run.info.seed if run.info.seed is not None else self._given_seed or 0)
        self._is_whole = run.last is not None and self._asked_all(run.last, run.baselines)
        self._observations = run.totals.observations_total
        self._failures = Counter(run.totals.failures_total) + self._not_begun
        self._not_begun.clear()
        self._export_failures = Counter(run.totals.export_failures_total)

    def _asked_all(self, last: Record, baselines: Baselines) -> bool:
        """Whether the latest look of a run that goes on was at this step, and asked what the first one asked."""
        first = baselines.known["start"].stances
        probes = {stance.probe for stance in first}
        return (
            last.step == self._last_step
            and not last.weights
            and len(first) == sum(stance.num_items for stance in last.stances if stance.probe in probes)
        )

    def _ask(self, model: Any, observation: Observation) -> None:
        """Everything that needs the model, inside the guard."""
        decision, self._decision = self._decision, None  # one that was made for this look, if `is_due` was asked
        blocks = decision.blocks if decision is not None and decision.is_partial else None
        self._is_whole = False  # until it has been asked to its end
        with observation.stage("screen"):
            is_first = observation.phase == "start"
            observation.stances, failed = self._asking.ask_each(model, blocks, is_first=is_first)
        # Several ranks abandon an observation together; and one without any figure is none.
        if failed and (num_ranks() > 1 or not (observation.stances or self._replies.are_drawn)):
            raise failed[0][1]
        self._note_failed(observation, failed)
        observation.tokens_scored = self._asking.tokens_scored(blocks)
        observation.blocks = self._asking.num_blocks if blocks is None else len(blocks)
        if blocks is not None:
            observation.notes.append(f"{len(blocks)} of {self._asking.num_blocks} blocks of the bank were asked")
        self._is_whole = blocks is None and not failed
        if observation.phase != "start":
            assert self._baselines is not None
            self._failures += self._replies.hear(
                model,
                observation,
                self._baselines,
                attempt=self.attempt,
                screened=self._screened(),
                max_draws=None if decision is None else decision.draws,
                is_last=observation.phase == "end" or self._controller.is_over(observation.step),
                rng=self._rng(observation.look, EVIDENCE),
            )
            self._describe_refusal()

    def _note_failed(self, observation: Observation, failed: Sequence[tuple[str, Exception]]) -> None:
        """Probes that could not be asked cost their own figures of this observation."""
        for kind, err in failed:
            cause = f"{type(err).__name__}: {err}"
            self._failures[f"{kind}/{type(err).__name__}"] += 1
            observation.failures.append(Failure(kind, cause))
            if cause not in self._told:
                self._told.add(cause)
                logger.warning(
                    "the probe %s failed at step %d, the observation goes on: %s",
                    kind,
                    observation.step,
                    cause,
                    exc_info=err,
                )

    def _announce_the_end(self, first: Observation) -> None:
        """Say beforehand what the look at the end will take, since it keeps to no budget."""
        if self._schedule.budget is not None and self._asking.num_blocks > 1:
            first.notes.append(
                "the observation at the end of training asks the whole bank, whatever the budget has left: about "
                f"{first.seconds['screen']:.1f} s"
            )
            if rank() == 0:
                logger.info("%s", first.notes[-1])

    def _screened(self) -> list[str]:
        """Topics that the last look makes worth a closer one."""
        return [] if self.last is None or self.info is None else watched(self.last, self.info)

    def _begin_replies(self, model: Any, first: Observation, is_resumed: bool) -> None:
        assert self._baselines is not None
        assert self.info is not None
        if is_resumed and self._replies.are_drawn:
            self._resume_replies(model)
        elif self._replies.are_drawn:
            planned = self._schedule.planned_looks(self._last_step, self._controller.planned_steps)
            with undisturbed(model, optimizer=self._find_optimizer()) as asked:
                self._replies.begin(
                    asked,
                    self._baselines,
                    self.info,
                    alpha=self._alpha,
                    tolerance=self._tolerance,
                    planned_looks=planned,
                    folder=self._folder,
                )
        if self._replies.refused is not None:
            first.notes.append(f"no replies are drawn in this run: {self._replies.refused}")
            self._describe_refusal()

    def _describe_refusal(self) -> None:
        """Replies that the run was to draw, and does not any more, are part of what it is."""
        why = self._replies.refused
        if why is None or self.info is None or self.info.replies_refused == why:
            return
        self._failures["confirm/refused"] += 1
        self.info = replace(self.info, replies_drawn=False, replies_refused=why)
        if self.store is not None:
            self.store.write_json("run.json", self.info)

    def _resume_replies(self, model: Any) -> None:
        assert self.info is not None
        if self.info.replies_refused is not None:
            self._replies.refuse(self.info.replies_refused)
            return
        store = self.store
        left = on_first(lambda: kept_evidence(store), "reading the evidence")
        assert self._baselines is not None
        with undisturbed(model, optimizer=self._find_optimizer()) as asked:
            self._baselines, note = self._replies.resume(
                asked, self._baselines, left, self._last_step, folder=self._folder
            )
        if note is not None and store is not None:
            logger.warning("%s", note)
            store.append_event("baseline", attempt=self.attempt, step=self._last_step, text=note)

    def _described(self, observation: Observation) -> Record:
        """The record of a look; on rank 0."""
        assert self.info is not None
        assert self._baselines is not None
        return describe(
            observation,
            self.info,
            self._baselines,
            attempt=self.attempt,
            cost=self._cost(),
            before=() if self.last is None else self.last.evidence,
            fault_before=None if self.last is None else self.last.fault,
            validity=self._replies.validity(self._baselines),
            noise=self._replies.noise,
            rng=self._rng(observation.look, INTERVALS),
        )

    def _hand_over(self, observation: Observation, record: Record) -> Record:
        """Count a look, log one line of its record, and give it to the delivery thread."""
        assert self.info is not None
        self._open = None
        self._next_look = observation.look + 1
        self._last_step = observation.step
        self._observations += 1
        self.last = record
        self._failures = Counter(record.cost.failures_total)
        draws = 0 if observation.confirmed is None else observation.confirmed.draws
        self._controller.record(Spent(record.cost.seconds, observation.blocks, draws))
        if self._delivery is not None and self._delivery.is_over and self.store is not None:
            # What was taken for the end was none, since here is another look.
            self.store.claim()
            self.store.append_event("begin", attempt=self.attempt, step=observation.step)
            self._start_delivery(self.store, self.info)
        if self._delivery is not None:
            books, keep = self._controller.books, self._replies.are_kept
            left = left_by(observation, self.attempt, self._replies.saved, books, keep_replies=keep)
            self._delivery.submit(Parcel(record, tuple(left)))
        if rank() == 0:
            logger.info("%s", log_line(record, self.info))
            for alert in record.alerts:
                logger.warning("%s: %s", alert.severity, alert.text)
        return record

    def _cost(self) -> Cost:
        """Running totals, before this look's own figures."""
        exported = self._delivery.failures if self._delivery is not None else Counter[str]()
        return Cost(
            overhead_ratio=self._controller.overhead_ratio,
            observations_total=self._observations + 1,
            failures_total=dict(self._failures),
            export_failures_total=dict(self._export_failures + exported),
        )

    def _draw_with(self, seed: int) -> None:
        """Settle the seed of everything that is drawn, on every rank alike."""
        self._seed = seed
        self._replies.draw_with(seed)

    def _rng(self, look: int, part: int) -> np.random.Generator:
        """A generator of its own for each purpose, so that a record can be recomputed in any order."""
        return np.random.default_rng(np.random.SeedSequence([self._seed, self.attempt, look, part]))


def _end_when_collected(one: Any, delivery: Delivery) -> None:
    # Where nobody has an error to look at any more, only a person's interruption is told apart.
    weakref.finalize(one, lambda: delivery.end(how_it_ended())).atexit = False


def _name_of(model: Any) -> str:
    """What a model calls itself: a hub id, or the last folder of a path, since the rest says where and not what."""
    name = str(getattr(getattr(model, "config", None), "_name_or_path", ""))
    return (Path(name).name if Path(name).is_absolute() else name) or "model"
