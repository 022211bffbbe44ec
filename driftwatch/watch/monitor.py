"""Monitor: keeps the settings of a run and leads it from begin to close; training loops without a Trainer call it.

    begin → Run.observe, … → close

Nothing here catches errors: `callback.py` holds the one guard. What one observation does is in `run.py`.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from driftwatch import plugins
from driftwatch.drift.compare import BaselineName
from driftwatch.errors import SETTINGS, Absent, ConfigError
from driftwatch.evidence.tolerance import TOLERATED, tolerated
from driftwatch.exporters.exporter import BesideTrainer, Exporter
from driftwatch.host.copying import renewed
from driftwatch.host.exchange import Line
from driftwatch.host.guard import undisturbed
from driftwatch.host.life import End, TrainingLoop, how_it_ended, weakly
from driftwatch.host.ranks import meet, num_ranks, on_first, part, rank, stay_away
from driftwatch.probes.probe import Probe
from driftwatch.record.record import Phase, Record, RunInfo
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.vllm import Engine
from driftwatch.store.folder import absolute
from driftwatch.store.run_store import RunStore
from driftwatch.topics import TopicPack
from driftwatch.watch.beginning import Beginning, prepare
from driftwatch.watch.branching import Checkpoint, origin_of
from driftwatch.watch.budget import Books, Controller
from driftwatch.watch.instrument import Instrument
from driftwatch.watch.opening import Settings
from driftwatch.watch.preparing import ReplySetup
from driftwatch.watch.run import MAX_ABSENCES, Host, Run
from driftwatch.watch.schedule import Schedule
from driftwatch.watch.settings import RUNS_FOLDER, RunSettings
from driftwatch.watch.stopwatch import Stopwatch

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


def _on_all_ranks(begin: "Callable[Concatenate[Monitor, P], T]") -> "Callable[Concatenate[Monitor, P], T]":
    """Wrap `begin` so that the ranks meet first and then begin together."""

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
        pack … seed: The same as for `DriftCallback`; `driftwatch.watch.settings.RunSettings` explains them. Without a
            `run`, the name is made from the time.
        clock: Returns monotonic seconds; tests pass their own.

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
        output_dir: str | Path = RUNS_FOLDER,
        exporters: Sequence[str | Exporter] = ("prometheus",),
        seed: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = RunSettings(
            pack=pack,
            baseline=baseline,
            alerting_baseline=alerting_baseline,
            probes=probes,
            confirm=confirm,
            schedule=schedule,
            alpha=alpha,
            tolerance=tolerance,
            run=run,
            output_dir=output_dir,
            exporters=exporters,
            seed=seed,
        )
        self.settings = settings  # a copy of the monitor is made with these; its paths are absolute
        self.run = settings.run
        self.output_dir = absolute(settings.output_dir or RUNS_FOLDER)
        self._instrument = Instrument(settings.pack, settings.probes)
        topics = self._instrument.pack.topics
        self._setup = None if confirm is None else ReplySetup(confirm, topics)
        self._exporters: list[Exporter] = [plugins.made("exporters", exporter) for exporter in settings.exporters]
        self._attached = self._exporters  # the ones that serve the current training; see `attach`
        self._schedule = schedule or Schedule()
        values, controls = ([t.id for t in topics if t.control == is_control] for is_control in (False, True))
        self._fixed = Settings(alpha, tolerated(tolerance, values, controls), seed)
        self._clock = clock
        self._run: Run | None = None  # `None` until `begin`
        self._line: Line | None = None  # connects the ranks for the run that begins or goes on
        self._has_met = False  # whether the ranks have met for a run that has not begun yet
        self._not_begun: Counter[str] = Counter()  # failures before there was a run to count them in

    def __reduce__(self) -> tuple[Any, ...]:
        return renewed, (Monitor, {**self.settings.of_monitor(), "clock": self._clock}, {})

    # The life of a run: begin, observe, …, close

    def attach(self, args: Any, state: Any) -> None:
        """Hand the Trainer's settings and state to the exporters that write beside its own figures; before `begin`.

        An exporter that fails here is left out of this training.
        """
        self._attached = [exporter for exporter in self._exporters if _is_attached(exporter, args, state)]

    def meet(self) -> None:
        """Find the other ranks for the run that will begin; `begin` calls this if nobody has called it before.

        Raises:
            RanksError: Not all ranks came in time, so nothing can be watched.
        """
        self._line = None
        self._line, self._has_met = meet(), True

    @property
    def has_met(self) -> bool:
        """Whether this rank is in step with the others; always true in a single process."""
        return num_ranks() == 1 or self._line is not None

    def part(self, name: str) -> AbstractContextManager[None]:
        """A context for something that all ranks do together, under a name that is the same on all; after `meet`.

        A rank that raises inside the context tells the other ranks at once. A part inside another part belongs to the
        outer one.
        """
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
        engine: Engine | Absent | None = None,
        resume: str | Path | Checkpoint | None = None,
        loop: TrainingLoop | None = None,
        notes: Sequence[str] = (),
    ) -> Record | None:
        """Prepare the probes, find the baselines, and take the first observation; on every rank.

        Args:
            model: The model in training.
            tokenizer: Its tokenizer or processor.
            step: Optimizer steps already done.
            planned_steps: The step at which training will end; `None` if unknown.
            model_name: The model's name for people to read; `None` takes it from the model's config.
            trainer: Class name of the trainer.
            optimizer: The optimizer in use; only schedule-free optimizers need it.
            engine: The result of `find_engine`: the engine that writes the replies in place of this process.
            resume: Folder of the run to go on with under a new attempt number, or the place of a checkpoint in that
                run; `None` begins a new run. If another process writes that run, or training goes on in another output
                folder, a new run branches off there.
            loop: The training loop. If it is known, the run ends when the loop ends, for whatever reason.
            notes: Sentences for the reader of a new run.

        Returns:
            The record of the first observation; `None` on a resume, which goes on from the observations that are there.

        Raises:
            ConfigError, BaselineError, StoreError: Something cannot work; said before any training time is spent.
        """
        self.close(how_it_ended())  # ends the run of an earlier training with this monitor, if there was one
        self._run = None  # failures from here on must not be counted in the earlier run
        at = Checkpoint(Path(resume), step) if isinstance(resume, str | Path) else resume
        origin = on_first(lambda: origin_of(at, with_replies=self._setup is not None), "going on with a run")
        watch, host = Stopwatch(self._clock), Host(self._line, weakly(optimizer), self._clock)
        try:
            with undisturbed(model, tokenizer=tokenizer, optimizer=optimizer) as asked:
                with watch("prepare"):
                    ready = prepare(
                        asked, tokenizer, self._instrument, self._setup, host, engine=engine, kept=origin.identity
                    )
                beginning = Beginning(
                    baseline=Path(source) if (source := self.settings.baseline) is not None else None,
                    alerting=self.settings.alerting_baseline,
                    fixed=self._fixed,
                    schedule=self._schedule,
                    keep_replies=self._setup is not None and self._setup.settings.keep_replies,
                    place=(self.output_dir, self.run),
                    host=host,
                    prepared=ready,
                    controller=self._control(planned_steps, origin.books),
                    exporters=self._attached,
                    step=step,
                    loop=loop,
                    failures=self._not_begun,
                    watch=watch,
                )
                if origin.at is not None:
                    self._run = run = beginning.go_on(asked, origin, origin.at)
                else:
                    self._run = run = beginning.anew(asked, model_name or _name_of(model), trainer, notes)
        except BaseException:
            origin.give_up()
            raise
        self._not_begun.clear()
        run.output.end_with(self)
        return run.last if origin.at is None else None

    def _control(self, planned_steps: int | None, before: Books) -> Controller:
        decides = rank() == 0
        kept = before if decides else Books()
        return Controller(self._schedule, planned_steps=planned_steps, clock=self._clock, decides=decides, before=kept)

    def is_due(self, step: int, *, is_off: bool = False) -> bool:
        """Whether to call `observe` now; call this after every step, on every rank.

        Args:
            step: Optimizer steps done.
            is_off: Whether observations are turned off just now; the value on rank 0 counts.

        Raises:
            RanksError: The ranks could not agree.
        """
        return self._begun.is_due(step, is_off=is_off)

    def is_wanted_at_end(
        self,
        step: int,
        *,
        is_off: bool = False,
        weights_changed: bool = False,
        trained_on: bool = False,
        is_before_change: bool = False,
    ) -> bool:
        """Whether one more observation is due after training.

        It is due if the latest observation was not at the last step, did not ask the whole bank, or was not of the
        final weights, and also while a judge still reads replies.

        Args:
            step: The last step.
            is_off: Whether observations are turned off just now; the value on rank 0 counts.
            weights_changed: Whether other weights have taken the place of those that training left on this rank.
            trained_on: Whether training has gone on within this step since the latest observation.
            is_before_change: Whether the question is about the weights of the last step, before others take their
                place; if they already have on some rank, it is too late.
        """
        return self._begun.is_wanted_at_end(
            step,
            is_off=is_off,
            weights_changed=weights_changed,
            trained_on=trained_on,
            is_before_change=is_before_change,
        )

    def observe(self, model: Any, step: int, *, phase: Phase = "train", weights: str = "") -> Record:
        """Make one observation: ask, compare, record, deliver.

        Args:
            model: The model in training.
            step: Optimizer steps done.
            phase: "end" after the last update.
            weights: What the model holds, in words, if that is not the weights of this step.

        Raises:
            ProbeError: The model could not be asked; nothing about the training run has changed.
        """
        return self._begun.observe(model, step, phase=phase, weights=weights)

    def fail(self, step: int, err: Exception, *, parts: Sequence[str] = ()) -> None:
        """Record that an observation failed; the next one is tried as if nothing had happened.

        Args:
            step: Optimizer steps done.
            err: What failed.
            parts: Names of the parts in which the other ranks may wait for this one, because it never reached them.
        """
        stay_away(self._line, parts, err)
        if self._run is not None:
            self._run.fail(step, err)
        elif rank() == 0:
            self._not_begun[f"monitor/{type(err).__name__}"] += 1

    def close(self, reason: End) -> None:
        """End the run: deliver what waits and say how it ended ("finished", "stopped" or "failed"). Safe to repeat.

        Nothing of the model or the trainer is held afterwards.
        """
        if self._run is not None:
            self._run.close(reason)

    def end_with(self, one: Any) -> None:
        """Have the run end when an object is collected, such as the model of a training that was given up."""
        self._begun.output.end_with(one)

    @property
    def _begun(self) -> Run:
        """The run.

        Raises:
            ConfigError: `begin` was not called.
        """
        if self._run is None:
            raise ConfigError("expected Monitor.begin(model, tokenizer) before this call; there is no run yet.")
        return self._run

    def note(self, kind: str, step: int, text: str) -> None:
        """Write an event into the run's folder; on rank 0, nothing elsewhere."""
        self._begun.output.note(kind, step, text)

    @property
    def is_alone(self) -> bool:
        """Whether other ranks have stayed away several times in a row, so that waiting for them is pointless."""
        return self._line is not None and self._line.absences >= MAX_ABSENCES

    @property
    def store(self) -> RunStore | None:
        """The run's folder; `None` before there is a run, and on every rank but the first."""
        return None if self._run is None else self._run.output.store

    @property
    def info(self) -> RunInfo | None:
        """The description of the run, which stays the same throughout; `None` before there is a run."""
        return None if self._run is None else self._run.info

    @property
    def attempt(self) -> int:
        """The run's attempt number; 0 until the run is resumed."""
        return 0 if self._run is None else self._run.attempt

    @property
    def last(self) -> Record | None:
        """The latest record; `None` before there is one."""
        return None if self._run is None else self._run.last

    @property
    def url(self) -> str | None:
        """Where the run is served, once it has begun; `None` if no exporter serves it."""
        return next((url for url in (getattr(e, "url", None) for e in self._exporters) if url), None)

    @property
    def is_whole(self) -> bool:
        """Whether the latest observation asked the whole bank; the last one of a run has to."""
        return self._run is not None and self._run.is_whole

    @property
    def has_waiting(self) -> bool:
        """Whether a remote judge still reads replies; one more observation at the end would wait for it."""
        return self._run is not None and self._run.stage.has_waiting

    @property
    def progress(self) -> dict[str, Any]:
        """Where the run is kept and how far it has come: what a checkpoint must hold so that the run can go on."""
        store, run = self.store, self._run
        return {
            "folder": None if store is None else str(store.folder),
            "attempt": self.attempt,
            "look": 0 if run is None else run.next_look,
            "step": 0 if run is None else run.last_step,
            "pack": self._instrument.pack.digest,
        }


def _is_attached(exporter: Exporter, args: Any, state: Any) -> bool:
    """Hand the Trainer to an exporter that asks for it; false if that failed and the exporter is left out."""
    try:
        if isinstance(exporter, BesideTrainer):
            exporter.attach(args, state)
    except SETTINGS:
        raise
    except Exception as err:
        text = "the exporter %s is left out of this training, since it could not be told of the Trainer: %s: %s"
        logger.warning(text, exporter.name, type(err).__name__, err, exc_info=err)
        return False
    return True


def _name_of(model: Any) -> str:
    """The name in a model's config: a hub id, or the last folder of a path, whose other parts name no model."""
    name = str(getattr(getattr(model, "config", None), "_name_or_path", ""))
    return (Path(name).name if Path(name).is_absolute() else name) or "model"
