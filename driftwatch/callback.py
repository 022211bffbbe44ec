"""DriftCallback turns Trainer events into Monitor calls, and holds the one error guard.

::

    trainer.train()
      on_train_begin   → Monitor.begin     step 0, before the first update; configuration errors raise here
      │ on_step_end    → Monitor.observe   when the schedule says so
      │ on_save          our entry of the checkpoint's state tells a resumed run where it was
      on_train_end     → Monitor.observe, Monitor.close

In `on_train_begin`, only what the user can correct raises: settings, a pack, a baseline, a run's folder. Nothing else
of ours raises into training (`on_error="warn"`): a failed observation is logged with its traceback, once per cause,
counted in a metric, and kept in the record. If the very first one fails, the run begins at a later step
(`late_start.py`).

The Trainer does not call `on_train_end` when training ends by an error or by Ctrl-C; `host/life.py` ends the run then.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal
from weakref import WeakValueDictionary

from msgspec.structs import asdict
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from driftwatch import plugins
from driftwatch.drift.compare import BaselineName
from driftwatch.errors import SETTINGS, Absent, ConfigError, RanksError, UnfitError
from driftwatch.evidence.tolerance import TOLERATED
from driftwatch.exporters.exporter import Exporter
from driftwatch.host.afterwards import Afterwards, handler_of
from driftwatch.host.causal import NotAsked, why_not_causal
from driftwatch.host.copying import renewed
from driftwatch.host.last_weights import OTHERS, Weights, is_over, put_back
from driftwatch.host.life import nothing, training_loop, weakly
from driftwatch.host.ranks import everywhere, num_ranks, on_first, rank, speaks
from driftwatch.host.trainers import (
    NO_TOKENIZER,
    NOT_CAUSAL,
    TrainerSupport,
    policy_of,
    refusal,
    tokenizer_of,
    trainer_of,
)
from driftwatch.probes.probe import Probe
from driftwatch.record.record import Phase, Record
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.vllm import Engine, find_engine
from driftwatch.store.folder import absolute
from driftwatch.topics import TopicPack
from driftwatch.topics.names import run_name
from driftwatch.watch.action import Action
from driftwatch.watch.actions import act_together, is_called_for
from driftwatch.watch.branching import Checkpoint
from driftwatch.watch.late_start import LateStart
from driftwatch.watch.monitor import Monitor
from driftwatch.watch.resuming import checkpoint_of, chosen, entries, home_of_runs
from driftwatch.watch.schedule import Schedule, looks_are_off
from driftwatch.watch.settings import RUNS_FOLDER, RunSettings

logger = logging.getLogger(__name__)

START = "start"  # the name of what all ranks do together first


class DriftCallback(TrainerCallback, ExportableState):  # type: ignore[misc] # transformers publishes no types
    """Tells which values move while a model is trained, without changing the training.

    Add it to any transformers or TRL trainer of a causal language model::

        trainer = DPOTrainer(..., callbacks=[DriftCallback()])

    If the trainer samples with vLLM, its engine can write the replies. Callbacks are not given their trainer, so pass
    it on with `use_engine(trainer)`.

    Args:
        pack: Topic pack: its name, file or folder, or several joined: "core+refusal".
        baseline: Folder of the SFT run, or of `driftwatch baseline`; `None` compares with the start of this run, and
            with the SFT model where switching LoRA adapters reaches it.
        alerting_baseline: Which baseline alerts rest on; `None` prefers "sft" where there is one, and it can be asked
            for replies if they are drawn.
        probes: How the model is asked: by name, each with options where it needs them.
        confirm: How replies are drawn and who reads them; `None` leaves it at the screen, and states stop at "watch".
        schedule: At which steps to observe, and at what share of wall time.
        alpha: Probability of any false alert in the whole run that is tolerated.
        tolerance: Drift that is tolerated, as a change of a stance's share; an alert beyond it is "beyond_tolerance".
            One number, or a number by topic, with "default" for the others. A resumed run takes no other.
        run: Name of the run, the `run` label of every metric; `None` takes the Trainer's run_name, or makes one from
            the time.
        output_dir: Folder in which the run's folder is made; `None` takes "driftwatch" in the Trainer's output folder,
            which leads to "_driftwatch" there: the Trainer's upload to the Hub leaves that out.
        exporters: Where figures go: by name, each with options where it needs them.
        actions: What to do about a specific alert, by name: "save" or "stop". Nothing by default.
        seed: Seed of everything that is drawn; `None` derives it from the run's own id, so that another training draws
            other questions and does not repeat a false alarm. It is kept with the run, and a resumed run goes on with
            it.
        on_error: "warn" keeps training whatever happens to an observation; "raise" is for tests.

    Raises:
        ConfigError, PackError, PluginError: A setting that cannot work.
    """

    # All callbacks that are alive, numbered in the order in which they were made; a restored copy looks for its
    # original here.
    _made: ClassVar["WeakValueDictionary[int, DriftCallback]"] = WeakValueDictionary()

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
        output_dir: str | Path | None = None,
        exporters: Sequence[str | Exporter] = ("prometheus",),
        actions: Sequence[str | Action] = (),
        seed: int | None = None,
        on_error: Literal["warn", "raise"] = "warn",
        restored: bool = False,
    ) -> None:
        self.progress: dict[str, Any] = {}
        self._originals: list[DriftCallback] = []
        if restored and DriftCallback._made:
            # transformers replaces the callback that was passed in by a copy made from plain values. Probes and judges
            # do not survive that, so the copy becomes the original as soon as it knows which one that is.
            self._originals = [one for _, one in sorted(DriftCallback._made.items())]
            return
        self.settings = RunSettings(
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
            actions=actions,
            seed=seed,
            on_error=on_error,
        )
        self.monitor = Monitor(**self.settings.of_monitor())
        self._actions: list[Action] = [plugins.made("actions", action) for action in self.settings.actions]
        self._draws_replies = confirm is not None
        self._trainer: Callable[[], Any] = nothing
        self._arguments: Callable[[], Any] = nothing  # the arguments of the trainer that it was given to
        self._training: Callable[[], Any] = nothing  # the state of the training that it is in
        self._origin: str | None = None  # the run folder that its checkpoint names
        self._asked_to_stop: int | None = None
        self._weights = Weights()
        self._goes_on = False  # whether the same training begins again
        self._batch_size = 0
        self._is_named = run is not None
        self._ended_at = -1
        self._own_output_dir = output_dir is not None
        self._output = absolute(RUNS_FOLDER)
        self._on_error = on_error
        self._running = False
        self._seen_step = -1
        self._said: set[str] = set()
        self._late = LateStart()
        self._added: tuple[str, ...] = ()  # a note for readers, if the callback was added to a training under way
        self._is_off = False
        self._resumed: Checkpoint | None = None  # the place in an earlier run from which this training goes on
        self._schedule = schedule or Schedule()
        DriftCallback._made[1 + max(DriftCallback._made, default=0)] = self
        self._own = frozenset(vars(self)) | {"_own"}

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, in this process or another one, has the same settings and no run."""
        extras = {name: value for name, value in vars(self).items() if name not in self._own}
        return renewed, (type(self), asdict(self.settings), extras)

    def use_engine(self, trainer: Any) -> None:
        """Have the vLLM engine of a TRL trainer (`use_vllm=True`) write the replies; call this before `train`.

        Without this call, or if the engine cannot be asked, replies are sampled in-process, which is slower and gives
        equally valid replies. A trainer that samples without vLLM may be given, too::

            watch = DriftCallback(confirm=Confirmation())
            trainer = GRPOTrainer(..., callbacks=[watch])
            watch.use_engine(trainer)

        Args:
            trainer: The trainer that this callback was given to. It is not kept alive.

        Raises:
            ConfigError: `trainer` is no trainer.
        """
        if not hasattr(trainer, "callback_handler"):
            raise ConfigError(
                f"use_engine takes the trainer that this callback was given to; found {trainer!r}. "
                "Write callback.use_engine(trainer) after trainer = GRPOTrainer(…, callbacks=[callback])."
            )
        self._trainer = weakly(trainer)

    # Trainer events

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note which trainer this callback belongs to; a script may have several, each with several callbacks."""
        if not self._originals:
            self._arguments = weakly(args)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prepare, find the baselines, and make the first observation; settings that cannot work raise."""
        if self._originals:
            self._become_original(args, state)
        # If batches do not fit into memory, training begins again with smaller ones, and with the weights that it has.
        smaller = (state.train_batch_size or 0) < self._batch_size
        self._goes_on = self._running and bool(args.auto_find_batch_size) and smaller
        self._asked_to_stop = None
        self._be_known(state)
        self._late, self._added, self._running = LateStart(), (), False
        if not (self._is_named or self._goes_on):
            self.monitor.run = None  # an earlier training's
        if num_ranks() == 1 and looks_are_off():
            return
        try:
            self._begin_together(args, state, kwargs, self._checkpoint)
        except SETTINGS:
            raise
        except Exception as err:
            if isinstance(err, RanksError) and err.is_setting:  # a wrong setting of one rank raises on every rank
                raise ConfigError(str(err)) from err
            if self._on_error == "raise":
                raise
            self._put_off(state.global_step, err)

    def _be_known(self, state: TrainerState) -> None:
        """Enter this callback in the state of a training.

        A checkpoint of a training without driftwatch has no entry of ours, and the Trainer fails at its next checkpoint
        if a callback has none (transformers 5.23, Trainer._save_checkpoint).
        """
        self._training, self._batch_size = weakly(state), state.train_batch_size or 0
        state.stateful_callbacks.setdefault(type(self).__name__, self.state())

    def _come_late(self, args: TrainingArguments, state: TrainerState, kwargs: dict[str, Any]) -> None:
        """Begin a run in a training that was under way when this callback was added to it."""
        self._be_known(state)
        self._asked_to_stop, self._goes_on = None, False
        self._late, self._running, self._seen_step = LateStart(), False, state.global_step
        if not self._is_named:
            self.monitor.run = None  # an earlier training's
        if kwargs.get("model") is None or (num_ranks() == 1 and looks_are_off()):
            return
        logger.warning(
            "driftwatch was added to a training at step %d: what moved before is not seen, and the baseline "
            '"start" is that step',
            state.global_step,
        )
        self._added = (f"added to the training at step {state.global_step}; what moved before is not seen",)
        try:
            self._begin_together(args, state, kwargs, lambda _: None)
        except Exception as err:  # noqa: BLE001 - training is under way: nothing of ours ends it any more
            self._put_off(state.global_step, err)

    def _begin_together(
        self,
        args: TrainingArguments,
        state: TrainerState,
        kwargs: dict[str, Any],
        find: Callable[[TrainerState], Checkpoint | None] | None = None,
    ) -> None:
        """Find the other ranks, and begin with them; rank 0 decides what ranks may see differently.

        Args:
            args: The training's arguments.
            state: The training's state.
            kwargs: What the Trainer gives its callbacks.
            find: Finds the checkpoint in whose run this training goes on; `None` if an earlier try has found it.
        """
        self.monitor.meet()
        with self.monitor.part(START):
            self._output = absolute(args.output_dir)
            if find is not None:
                self._is_off, self._resumed = on_first(lambda: (looks_are_off(), find(state)), "beginning to watch")
            if not self._is_off:
                self._begin(args, state, **kwargs)

    def _begin(self, args: TrainingArguments, state: TrainerState, **kwargs: Any) -> None:
        """Begin the run at this step, the first of training or, after a first observation that failed, a later one."""
        monitor, model = self.monitor, policy_of(kwargs["model"])
        tokenizer = tokenizer_of(kwargs.get("processing_class"), kwargs.get("train_dataloader"))

        def settle() -> tuple[TrainerSupport | None, Engine | Absent | None, tuple[str, ...]]:
            trainer = trainer_of(args)
            self._check(model, tokenizer, trainer, kwargs.get("optimizer"))
            if not self._own_output_dir:
                monitor.output_dir = home_of_runs(args.output_dir, is_first=rank() == 0)
            if monitor.run is None and args.run_name and args.run_name != args.output_dir:
                monitor.run = run_name(args.run_name)
            monitor.attach(args, state)
            notes = (*self._late.note(state.global_step), *self._added, *self._told_origin(model))
            return trainer, self._engine(args), notes

        trainer, engine, notes = everywhere(settle, "checking the settings")
        monitor.begin(
            model,
            tokenizer,
            step=state.global_step,
            planned_steps=state.max_steps if state.max_steps > 0 else None,
            trainer=trainer.trainer if trainer is not None else None,
            optimizer=kwargs.get("optimizer"),
            engine=engine,
            resume=self._resumed,
            loop=training_loop(),
            notes=notes,
        )
        # The run has begun on all ranks; if one of them fails in what follows, it does not begin again.
        self._running, self._seen_step, self._ended_at = True, state.global_step, -1
        self._guarded(state.global_step, lambda: self._be_kept(state, model))

    def _be_kept(self, state: TrainerState, model: Any) -> None:
        """Arrange how a run that has begun will end, and its entry in checkpoints."""
        self.monitor.end_with(model)
        self._weights.asked(model, state.global_step)
        if self._goes_on:
            self._note_again(state.global_step)
        self._note_progress()
        self._forget_older_entries(state)
        if isinstance(kept := state.stateful_callbacks[type(self).__name__], list):
            kept.append(self.state())

    def _told_origin(self, model: Any) -> tuple[str, ...]:
        """A note on whose weights a new run starts from, if it is compared with its start alone."""
        return self._weights.left_by(model) if self.monitor.settings.baseline is None else ()

    def _note_again(self, step: int) -> None:
        text = (
            f"training began again at step {step} with the weights that it had; the baselines stay those of its first "
            "start, and what had moved by then counts as moved"
        )
        if rank() == 0:
            logger.warning("%s", text)
        self.monitor.note("again", step, text)

    def _put_off(self, step: int, err: Exception) -> None:
        """Try to begin at a later step; until then training goes on, and what it moves is not seen."""
        if not self.monitor.has_met:
            self._go_unwatched(err)
            return
        text = self._late.failed(step, err)
        if text is not None and speaks(err):
            logger.warning("%s", text, exc_info=err)
        self._note_failure(step, err, (START,))

    def _begin_if_due(self, args: TrainingArguments, state: TrainerState, kwargs: dict[str, Any]) -> None:
        if not self._schedule.is_due(state.global_step):
            return
        try:
            self._begin_together(args, state, kwargs)
        except Exception as err:  # noqa: BLE001 - training is under way: nothing of ours ends it any more
            self._put_off(state.global_step, err)

    def _go_unwatched(self, err: Exception) -> None:
        """Stop watching, since the ranks cannot watch together; the training goes on."""
        self._late = LateStart()
        if speaks(err):
            cause = str(err) if isinstance(err, RanksError) else f"{type(err).__name__}: {err}"
            logger.warning("nothing is watched from here on, and training goes on: %s", cause)
        self.monitor.close("failed")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Observe, if the schedule says so. Some trainers call this more than once per step."""
        step = state.global_step
        self._guarded(step, lambda: self._in_step_end(args, state, control, **kwargs), f"step-{step}", f"last-{step}")

    def _in_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._training() is not state:
            self._come_late(args, state, kwargs)
        self._make_room(state, control)
        if num_ranks() == 1 and looks_are_off():
            return
        if self._late.is_wanted and not self._running and state.global_step != self._seen_step:
            self._seen_step = state.global_step
            self._begin_if_due(args, state, kwargs)
        if self._running and state.global_step != self._seen_step:
            self._seen_step = step = state.global_step
            if (asked := self._asked_to_stop) is not None:
                self._asked_to_stop = None
                self._guarded(step, lambda: self._report_ignored_stop(asked))
            self._guarded(step, lambda: self._look_if_due(kwargs["model"], step, control), f"step-{step}")
            self._see_the_last_weights(args, state, control, kwargs["model"])
        if self._running:
            self._weights.stepped(policy_of(kwargs["model"]), state.global_step)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make room for our entry in the checkpoint that may follow; then do as `on_evaluate`."""
        step = state.global_step
        self._guarded(step, lambda: self._in_epoch_end(args, state, control, **kwargs), f"last-{step}")

    def _in_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._make_room(state, control)
        self._see_the_last_weights(args, state, control, kwargs["model"])

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Observe the last step's weights now, if the best checkpoint will take their place at the end."""
        self._guarded(
            state.global_step,
            lambda: self._see_the_last_weights(args, state, control, kwargs.get("model")),
            f"last-{state.global_step}",
        )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Do the same as `on_evaluate`."""
        self._guarded(
            state.global_step,
            lambda: self._see_the_last_weights(args, state, control, kwargs.get("model")),
            f"last-{state.global_step}",
        )

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Do as `on_evaluate`, since the Trainer's last log may come before it loads the best checkpoint."""
        self._guarded(
            state.global_step,
            lambda: self._see_the_last_weights(args, state, control, kwargs.get("model"), kwargs.get("logs")),
            f"last-{state.global_step}",
        )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the run, after a last observation if this step's weights were not asked the whole pack and judged."""
        step = state.global_step
        self._guarded(step, lambda: self._in_train_end(args, state, control, **kwargs), f"left-{step}")

    def _in_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not self._running:
            return
        handler = handler_of(self)
        if handler is not None and handler.callbacks[-1] is not self:
            # Other callbacks may now put other weights in place, for example averages; the weights that stay count.
            handler.callbacks.append(Afterwards(handler, self))
            return
        self.finish(args, state, kwargs["model"])

    def finish(self, args: TrainingArguments, state: TrainerState, model: Any) -> None:
        """End the run, after a last observation if the weights that stay were not asked the whole pack and judged."""
        self._guarded(state.global_step, lambda: self._finish(args, state, model), f"left-{state.global_step}")

    def _finish(self, args: TrainingArguments, state: TrainerState, model: Any) -> None:
        if not self._running:
            return
        step = state.global_step
        self._guarded(step, lambda: self._look_at_end(args, state, policy_of(model)), f"left-{step}")
        self._running = False
        self._asked_to_stop = None
        finished = state.max_steps <= 0 or step >= state.max_steps
        self._guarded(step, lambda: self.monitor.close("finished" if finished else "stopped"))
        if self.monitor.run is not None or self.monitor.info is not None:
            self._weights.leave(policy_of(model), self.monitor.info.run if self.monitor.info else "", step)

    def _see_the_last_weights(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any,
        logs: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the last observation now, if training is over and other weights will take the place of these."""
        step = state.global_step
        if not self._running or not args.load_best_model_at_end or model is None:
            return
        if self._ended_at == step or not is_over(state, control, logs):
            return
        self._ended_at = step  # tried once, whatever comes of it: either all ranks do what follows, or none does
        is_late = logs is not None
        self._guarded(step, lambda: self._look_before_change(model, step, is_late=is_late), f"last-{step}")

    def _check(self, model: Any, tokenizer: Any, trainer: TrainerSupport | None, optimizer: Any) -> None:
        """Refuse a model that cannot be asked, and say beforehand what the trainer will not do."""
        if (why := refusal(model, trainer)) is not None:
            raise UnfitError(why)
        if tokenizer is None:
            raise UnfitError(NO_TOKENIZER)
        with contextlib.suppress(NotAsked):  # the first observation says what is wrong, and what to do
            if (why := why_not_causal(model, tokenizer, optimizer=optimizer)) is not None:
                raise UnfitError(NOT_CAUSAL.format(model=type(model).__name__, why=why))
        if trainer is not None and not trainer.stops and any(action.name == "stop" for action in self._actions):
            logger.warning(
                '%s does not heed a request to stop: the action "stop" will be reported, and training goes on',
                trainer.trainer,
            )

    def _engine(self, args: TrainingArguments) -> Engine | Absent | None:
        """The engine that writes the replies in place of this process, or why it cannot; `None` if there is none."""
        trainer = self._trainer()
        if not self._draws_replies:
            return None
        if trainer is None and getattr(args, "use_vllm", False):
            logger.warning("replies are sampled in-process; use_engine(trainer) has the trainer's vLLM write them")
        return find_engine(trainer)

    # State that goes into checkpoints

    def state(self) -> dict[str, Any]:
        """Where this run is kept and how far it has come, as plain values."""
        return {"args": {"restored": True}, "attributes": {"progress": dict(self.progress)}}

    def _note_progress(self) -> None:
        self.progress = {**self.monitor.progress, "name": self.monitor.run, "output": str(self._output)}

    def _checkpoint(self, state: TrainerState) -> Checkpoint | None:
        """The place in a run of the checkpoint that training goes on from; `None` for a new run.

        Our own entry of the state is read directly: transformers restores callbacks only when told to, and
        `args.resume_from_checkpoint` is empty when the checkpoint was given to `train()`.
        """
        self._origin = None
        if self._goes_on and self.progress.get("folder"):
            self._origin = self.progress["folder"]
            return Checkpoint(Path(self.progress["folder"]), state.global_step)
        if state.global_step == 0:
            return None
        others = [one for one in DriftCallback._made.values() if one is not self and one._training() is state]
        pack, taken = self.monitor.progress["pack"], {one._origin for one in others if one._origin}
        kept = entries(state.stateful_callbacks.get(type(self).__name__))
        progress = chosen(kept, pack=pack, name=self.monitor.run, taken=taken)
        found = None if progress is None else checkpoint_of(progress, state.global_step, self._output)
        if progress is None or found is None:
            logger.warning(
                "training goes on from step %d, and the run folder of its checkpoint is %s; a new run begins here, "
                'whose baseline "start" is this step',
                state.global_step,
                "not named in it" if progress is None else f"gone ({progress['folder']})",
            )
            return None
        self._origin = progress["folder"]
        return found

    def _make_room(self, state: TrainerState, control: TrainerControl) -> None:
        if self._running and control.should_save:
            self._forget_older_entries(state)

    def _forget_older_entries(self, state: TrainerState) -> None:
        """Remove our older entries: with several callbacks, the Trainer keeps every entry that it ever saved."""
        kept = state.stateful_callbacks.get(type(self).__name__)
        if isinstance(kept, list):
            folders = {self.progress.get("folder"), self._origin}
            kept[:] = [entry for entry in kept if (one := entries(entry)) and one[0]["folder"] not in folders]

    def _become_original(self, args: TrainingArguments, state: TrainerState) -> None:
        """Share everything with the callback that transformers has replaced by this one."""
        free = [one for one in self._originals if one._training() is not state]
        given = [one for one in free if one._arguments() is args] or [one for one in free if one._arguments() is None]
        pack, name = self.progress.get("pack"), self.progress.get("name")
        fitting = [one for one in given if one.monitor.progress["pack"] == pack] or given or free
        named = [one for one in fitting if one.monitor.run == name]
        self.__dict__ = (named or fitting)[0].__dict__

    # The one guard

    def _look_if_due(self, model: Any, step: int, control: TrainerControl) -> None:
        with self.monitor.part(f"step-{step}"):
            if not self.monitor.is_due(step, is_off=looks_are_off()):
                return
            record = self._observe(policy_of(model), step)
            if not self._actions or not is_called_for(record):
                return
            act_together(self._actions, record, control)
            if control.should_training_stop:
                self._asked_to_stop = step

    def _look_before_change(self, model: Any, step: int, *, is_late: bool) -> None:
        """Observe the last step's weights, unless that was done, or (`is_late`) others may have taken their place."""
        with self.monitor.part(f"last-{step}"):
            policy = policy_of(model)
            if self.monitor.is_wanted_at_end(
                step,
                is_off=looks_are_off(),
                weights_changed=is_late and self._weights.are_others(policy, step),
                trained_on=self._weights.has_trained_on(step),
                is_before_change=True,
            ):
                self._observe(policy, step, phase="end")

    def _look_at_end(self, args: TrainingArguments, state: TrainerState, model: Any) -> None:
        """Observe the weights that stay, unless they were asked the whole pack and judged already."""
        step = state.global_step
        with self.monitor.part(f"left-{step}"):
            are_others, trained_on = self._weights.are_others(model, step), self._weights.has_trained_on(step)
            if not self.monitor.is_wanted_at_end(
                step, is_off=looks_are_off(), weights_changed=are_others, trained_on=trained_on
            ):
                return
            weights = (put_back(args, state) or OTHERS) if are_others else ""
            if weights and (trained_on or self.progress.get("step") != step):
                logger.warning("the weights of step %d were replaced, by %s, before they could be asked", step, weights)
            self._observe(model, step, phase="end", weights=weights)

    def _observe(self, model: Any, step: int, *, phase: Phase = "train", weights: str = "") -> Record:
        record = self.monitor.observe(model, step, phase=phase, weights=weights)
        self._weights.asked(model, step)
        return record

    def _report_ignored_stop(self, step: int) -> None:
        text = f"this trainer ignored the request of step {step} to stop; stop it by hand"
        logger.warning("%s", text)
        self.monitor.note("stop ignored", step, text)

    def _guarded(self, step: int, call: Callable[[], object], *parts: str) -> None:
        """Run a part of our work; whatever happens in it, training goes on.

        Args:
            step: Optimizer steps done.
            call: The work.
            parts: Names of the parts of it that all ranks do together. If this rank fails before one of them, it tells
                the other ranks.
        """
        if self._originals:  # a restored copy that has not found its original yet
            return
        try:
            call()
            self._note_progress()
        except Exception as err:
            if self._on_error == "raise":
                raise
            cause = f"{type(err).__name__}: {err}"
            if cause not in self._said and speaks(err):  # once per cause; the rest is in the counter and the records
                self._said.add(cause)
                logger.warning("the observation at step %d failed, training goes on: %s", step, cause, exc_info=err)
            self._note_failure(step, err, parts)

    def _note_failure(self, step: int, err: Exception, parts: Sequence[str] = ()) -> None:
        try:
            self.monitor.fail(step, err, parts=parts)
            if self.monitor.is_alone and self._running:
                self._running = False
                self._go_unwatched(err)
            self._note_progress()
        except Exception:
            logger.exception("the failure at step %d could not be recorded; training goes on", step)
