"""Beginning: makes a `Run` from a model that can be asked, as a new run or where an earlier attempt has stopped.

All of it happens inside the guard, on every rank; only the first rank makes and reads folders.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from driftwatch.drift.compare import BaselineName
from driftwatch.errors import Absent
from driftwatch.exporters.exporter import Exporter
from driftwatch.host.life import TrainingLoop, how_it_ended
from driftwatch.host.ranks import on_first, rank
from driftwatch.host.replicas import try_out
from driftwatch.replies.pool import BaselineReply
from driftwatch.replies.vllm import Engine
from driftwatch.store.run_store import RunStore
from driftwatch.watch.baselines import begin_baselines, load_baseline
from driftwatch.watch.branching import Checkpoint, Origin, branched
from driftwatch.watch.budget import Controller, Spent
from driftwatch.watch.instrument import Instrument
from driftwatch.watch.keeping import kept_evidence
from driftwatch.watch.observation import Observation
from driftwatch.watch.opening import Opened, Settings, new_run_id, opened, reopened, seed_of
from driftwatch.watch.output import output_of
from driftwatch.watch.preparing import PreparedReplies, ReplySetup
from driftwatch.watch.replies import DrawnReplies, NoReplies, Stage, begun, prepared, refusal_note, refusing
from driftwatch.watch.run import NUMERIC_FLOOR, Host, Run, generator, screened_by
from driftwatch.watch.schedule import Schedule
from driftwatch.watch.stopwatch import Stopwatch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What asks a model, after a trial on that model.

    Attributes:
        instrument: Asks the screen.
        replies: Asks for replies, or says why none are drawn.
        identity: What two measurements must share to be comparable.
        apart: A sentence that says how the ranks' replicas differ; `None` if they do not.
    """

    instrument: Instrument
    replies: PreparedReplies | NoReplies
    identity: dict[str, str]
    apart: str | None


def prepare(
    model: Any,
    tokenizer: Any,
    instrument: Instrument,
    setup: ReplySetup | None,
    host: Host,
    *,
    engine: Engine | Absent | None,
    kept: Mapping[str, str] | None,
) -> Prepared:
    """Encode the questions for a model, and prove that it can be asked.

    Args:
        model: The model to ask.
        tokenizer: Its tokenizer or processor.
        instrument: The screen.
        setup: What the settings name for replies; `None` draws none.
        host: The training.
        engine: The result of `find_engine` for the trainer.
        kept: The identity of a run that goes on; `None` for a new run.
    """
    apart = try_out(model)
    if host.line is not None:
        host.line.is_apart = apart is not None
    instrument.prepare(model, tokenizer)
    identity = instrument.identity(model)
    replies = prepared(setup, model, tokenizer, tell_apart=instrument.fingerprint, engine=engine, kept=kept)
    return Prepared(instrument, replies, identity | replies.identity(), apart)


@dataclass(frozen=True, slots=True)
class Beginning:
    """All that is needed to make the run of one training.

    Attributes:
        baseline: Folder of the baseline that the user named; `None` for none.
        alerting: Which baseline alerts rest on; `None` prefers "sft".
        fixed: The settings that decide about the evidence.
        schedule: When to observe.
        keep_replies: Whether the replies themselves are kept.
        place: The folder of runs, and the run's name; a name of `None` is made from the time.
        host: The training.
        prepared: Asks the model.
        controller: Decides how much is asked.
        exporters: Exporters that are opened with the run.
        step: Optimizer steps done.
        loop: The training loop whose end ends the run; `None` if it is unknown.
        failures: Number of earlier failures, by kind.
        watch: Counts the seconds of the beginning.
    """

    baseline: Path | None
    alerting: BaselineName | None
    fixed: Settings
    schedule: Schedule
    keep_replies: bool
    place: tuple[Path, str | None]
    host: Host
    prepared: Prepared
    controller: Controller
    exporters: Sequence[Exporter]
    step: int
    loop: TrainingLoop | None
    failures: Mapping[str, int]
    watch: Stopwatch

    def anew(self, model: Any, model_name: str, trainer: str | None, notes: Sequence[str]) -> Run:
        """A new run: makes the first observation, and finds the baselines that all others are compared with."""
        run_id = on_first(new_run_id, "beginning a run")
        seed = seed_of(run_id) if self.fixed.seed is None else self.fixed.seed
        source, instrument, asking = self.baseline, self.prepared.instrument, self.prepared.replies
        given = None if source is None else on_first(lambda: load_baseline(source), "reading the baseline")
        with self.watch("screen"):
            stances, failed = instrument.ask_each(model, is_first=True)
        screened = screened_by(instrument, stances, failed)
        with self.watch("baseline"):
            baselines = begin_baselines(
                stances,
                model,
                self.prepared.identity,
                asking=instrument,
                given=given,
                alerting=self.alerting,
                replies=isinstance(asking, PreparedReplies),
                model_name=model_name,
                rng=generator(seed, 0, 0, NUMERIC_FLOOR),
            )
        baselines = asking.within_reach(baselines)
        without = [f"the probe {kind} failed at the start: {why}" for kind, why in instrument.left_out.items()]
        baselines = replace(baselines, notes=(*notes, *without, *baselines.notes))

        def make() -> Opened:
            return opened(
                *self.place,
                pack=instrument.pack,
                baselines=baselines,
                identity=self.prepared.identity,
                model_name=model_name,
                trainer=trainer,
                settings=self.fixed,
                replies_drawn=isinstance(asking, PreparedReplies),
                replies_refused=asking.refused if isinstance(asking, NoReplies) else None,
                run_id=run_id,
                seed=seed,
            )

        made = on_first(make, "making the run's folder")
        with _given_up_on_failure(made.folder):
            with self.watch("baseline"):
                stage = begun(
                    asking,
                    model,
                    made.baselines,
                    seed=seed,
                    resolved=[topic.id for topic in instrument.pack if topic.id not in made.info.unresolved],
                    alpha=self.fixed.alpha,
                    tolerance=self.fixed.tolerance,
                    planned_looks=self.schedule.planned_looks(self.step, self.controller.planned_steps),
                    folder=made.folder,
                    are_kept=self.keep_replies,
                )
            apart = () if self.prepared.apart is None else (self.prepared.apart,)
            said = (*apart, *screened.notes, *refusal_note(stage.refused), *self._announcement())
            first = Observation(0, self.step, "start", screened, failures=screened.failures, notes=said)

            def record_first(run: Run) -> None:
                run.is_whole = screened.is_whole
                run.hand_over(first, on_first(lambda: run.described(first), "making the record"))

            return self._run(made, stage, seed, record_first, decoded=stage.decoded, failures=screened.kinds)

    def go_on(self, model: Any, origin: Origin, at: Checkpoint) -> Run:
        """A run that goes on from what an earlier one has left, as the same run or as a branch of it."""
        identity, fixed = self.prepared.identity, self.fixed
        if origin.is_branch:
            made = on_first(lambda: branched(at, *self.place, identity, fixed), "branching off from a run")
        else:
            made = on_first(lambda: reopened(at.folder, identity, fixed), "going on with a run")
        # Runs from before seeds were kept go on with the seed they were given, which was 0 by default.
        seed = made.info.seed if made.info.seed is not None else fixed.seed or 0
        with self.watch("baseline"):
            stage, note = self._resumed(model, made, seed)

        def keep_books(run: Run) -> None:
            if note is not None:
                run.output.note("baseline", self.step, note)
            run.controller.record(Spent(self.watch.seconds, 0, 0))
            on_first(lambda: run.output.keep(run.controller.books), "keeping what the run has taken")

        return self._run(made, stage, seed, keep_books)

    def _resumed(self, model: Any, made: Opened, seed: int) -> tuple[Stage, str | None]:
        asking, validity = self.prepared.replies, made.baselines.validity
        if isinstance(asking, NoReplies):
            return NoReplies(asking.refused, validity), None
        if made.info.replies_refused is not None:
            return refusing(made.info.replies_refused, validity), None
        saved, pool = on_first(lambda: kept_evidence(RunStore(made.folder)), "reading the evidence")
        confirm, note = asking.resume(model, made.baselines, saved, pool, seed=seed, step=self.step, folder=made.folder)
        if note is not None and rank() == 0:
            logger.warning("%s", note)
        return DrawnReplies(confirm, asking.engine, are_kept=self.keep_replies), note

    def _run(
        self,
        made: Opened,
        stage: Stage,
        seed: int,
        first: Callable[[Run], None],
        *,
        decoded: Sequence[BaselineReply] = (),
        failures: Mapping[str, int] | None = None,
    ) -> Run:
        """The run, opened; if anything goes wrong from here on, it is closed again."""
        run = Run(
            made,
            self.host,
            instrument=self.prepared.instrument,
            stage=stage,
            controller=self.controller,
            output=output_of(made.folder, self.exporters, attempt=made.attempt, loop=self.loop),
            seed=seed,
            step=self.step,
            failures={**self.failures, **(failures or {})},
            watch=self.watch,
        )
        try:
            run.see_refusal()
            run.weigh()
            on_first(lambda: run.output.begin(run.info, self.step, decoded), "opening the run")
            first(run)
        except BaseException:
            run.close(how_it_ended())
            raise
        return run

    def _announcement(self) -> tuple[str, ...]:
        """A sentence on how long the observation at the end will take, since no budget limits that one."""
        if self.schedule.budget is None or self.prepared.instrument.num_blocks <= 1:
            return ()
        text = (
            "the observation at the end of training asks the whole bank, whatever the budget has left: about "
            f"{self.watch.seconds['screen']:.1f} s"
        )
        if rank() == 0:
            logger.info("%s", text)
        return (text,)


@contextmanager
def _given_up_on_failure(folder: Path) -> Iterator[None]:
    """Let another process have the folder of a run that could not begin."""
    try:
        yield
    except BaseException:
        if rank() == 0:
            RunStore(folder).release()
        raise
