"""Monitor: the settings and the life of a run; also the way in for training loops without a Trainer.

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
        pack … seed: As those of `DriftCallback`, which `driftwatch.watch.settings.RunSettings` explains; `run` makes a
            name from the time where none is given.
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
        self.settings = settings  # what a copy is made with; a path stays what it is, wherever that is
        self.run = settings.run
        self.output_dir = absolute(settings.output_dir or RUNS_FOLDER)
        self._instrument = Instrument(settings.pack, settings.probes)
        topics = self._instrument.pack.topics
        self._setup = None if confirm is None else ReplySetup(confirm, topics)
        self._exporters: list[Exporter] = [plugins.made("exporters", exporter) for exporter in settings.exporters]
        self._attached = self._exporters  # those of the training that is watched
        self._schedule = schedule or Schedule()
        values, controls = ([t.id for t in topics if t.control == is_control] for is_control in (False, True))
        self._fixed = Settings(alpha, tolerated(tolerance, values, controls), seed)
        self._clock = clock
        self._run: Run | None = None  # until there is one
        self._line: Line | None = None  # to the other ranks, for the run that begins or goes on
        self._has_met = False  # for a run that has not begun yet
        self._not_begun: Counter[str] = Counter()  # failures before there was a run to count them in

    def __reduce__(self) -> tuple[Any, ...]:
        return renewed, (Monitor, {**self.settings.of_monitor(), "clock": self._clock}, {})

    # The life of a run: begin, observe, …, close

    def attach(self, args: Any, state: Any) -> None:
        """Name the Trainer's settings and state to the exporters that write beside its own figures; before `begin`.

        One that fails is left out of this training.
        """
        self._attached = [exporter for exporter in self._exporters if _is_attached(exporter, args, state)]

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
        """Something that all ranks do together, by a name that is the same on all; after `meet`.

        What a rank raises in it it tells the other ranks at once. Inside another part it is a stretch of that one.
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
            The record of the first observation; `None` on a resume, which goes on from the observations that are there.

        Raises:
            ConfigError, BaselineError, StoreError: What cannot work, said before any training time is spent.
        """
        self.close(how_it_ended())  # of an earlier training with this monitor; nothing if there was none
        self._run = None  # what fails from here on is none of its failures
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
        """Whether to call `observe` now; to be asked after every step, on every rank.

        Args:
            step: Optimizer steps done.
            is_off: Whether nothing is to be asked just now; rank 0's word counts.

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

        It is where the latest one was not at the last step, not of the whole bank, or not of the weights that are left,
        and for replies that a judge still reads.

        Args:
            step: The last one.
            is_off: Whether nothing is to be asked just now; rank 0's word counts.
            weights_changed: Whether this rank's weights are others than those that training has left.
            trained_on: Whether training has gone on within the step since it was asked.
            is_before_change: Whether to ask for the weights of the last step before others take their place; where
                they have on some rank, it is too late.
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
            weights: What the model holds, in words, where it is not the weights of this step.

        Raises:
            ProbeError: The model could not be asked; nothing about the training run has changed.
        """
        return self._begun.observe(model, step, phase=phase, weights=weights)

    def fail(self, step: int, err: Exception, *, parts: Sequence[str] = ()) -> None:
        """Record that an observation failed; the next one is tried as if nothing had happened.

        Args:
            step: Optimizer steps done.
            err: What failed.
            parts: Where the other ranks may wait for this one, as far as it has not come there.
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
        """Whether other ranks have not come several times in a row, so that waiting for them is in vain."""
        return self._line is not None and self._line.absences >= MAX_ABSENCES

    @property
    def store(self) -> RunStore | None:
        """The run's folder; `None` before there is a run, and on other ranks than the first."""
        return None if self._run is None else self._run.output.store

    @property
    def info(self) -> RunInfo | None:
        """What stays the same during the run; `None` before there is one."""
        return None if self._run is None else self._run.info

    @property
    def attempt(self) -> int:
        """Number of the run's attempt; 0 until it is resumed."""
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
        """Whether the latest observation has asked the whole bank; the last one of a run has to."""
        return self._run is not None and self._run.is_whole

    @property
    def has_waiting(self) -> bool:
        """Whether a remote judge still reads replies, for which one more observation at the end would wait."""
        return self._run is not None and self._run.stage.has_waiting

    @property
    def progress(self) -> dict[str, Any]:
        """Where the run is kept and how far it is: what a checkpoint needs for the run to go on."""
        store, run = self.store, self._run
        return {
            "folder": None if store is None else str(store.folder),
            "attempt": self.attempt,
            "look": 0 if run is None else run.next_look,
            "step": 0 if run is None else run.last_step,
            "pack": self._instrument.pack.digest,
        }


def _is_attached(exporter: Exporter, args: Any, state: Any) -> bool:
    """Whether an exporter knows of the Trainer, where it wants to."""
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
    """What a model calls itself: a hub id, or the last folder of a path, since the rest says where and not what."""
    name = str(getattr(getattr(model, "config", None), "_name_or_path", ""))
    return (Path(name).name if Path(name).is_absolute() else name) or "model"
