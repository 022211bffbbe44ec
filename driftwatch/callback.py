"""DriftCallback: Trainer events to Monitor calls, and the one error guard.

::

    trainer.train()
      on_train_begin   → Monitor.begin     step 0, before the first update; configuration errors raise here
      │ on_step_end    → Monitor.observe   when the schedule says so
      │ on_save          our entry of the checkpoint's state tells a resumed run where it was
      on_train_end     → Monitor.observe, Monitor.close

In `on_train_begin` only what the user can mend raises: settings, a pack, a baseline, a run's folder. Nothing else of
ours raises into training (`on_error="warn"`): a failed observation is logged once a cause with its traceback, counted
in a metric, and kept in the record. Where the very first one fails, the run begins at a later step (`late_start.py`).

`on_train_end` never comes where training ends by an error or by Ctrl-C. The run ends all the same, as `life` says.
"""

import contextlib
import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from driftwatch import plugins
from driftwatch.actions import Action, act_together, is_called_for
from driftwatch.arguments import check_lists, check_trainer
from driftwatch.confirmation import Confirmation
from driftwatch.copying import renewed
from driftwatch.drift.compare import BaselineName
from driftwatch.drift.tolerance import TOLERATED
from driftwatch.errors import SETTINGS, ConfigError, RanksError, UnfitError
from driftwatch.exporters.exporter import Exporter
from driftwatch.folder import absolute
from driftwatch.late_start import LateStart
from driftwatch.life import nothing, training_loop, weakly
from driftwatch.monitor import Monitor
from driftwatch.probes.causal import NotAsked, why_not_causal
from driftwatch.probes.engine import Engine, find_engine
from driftwatch.probes.probe import Probe
from driftwatch.probes.ranks import everywhere, num_ranks, on_first, speaks
from driftwatch.schedule import Schedule, looks_are_off
from driftwatch.topics import TopicPack
from driftwatch.topics.names import run_name
from driftwatch.trainers import NO_TOKENIZER, NOT_CAUSAL, TrainerSupport, policy_of, refusal, tokenizer_of, trainer_of

logger = logging.getLogger(__name__)


class DriftCallback(TrainerCallback, ExportableState):  # type: ignore[misc] # transformers publishes no types
    """Tells which values move while a model is trained, without changing the training.

    Add it to any transformers or TRL trainer of a causal language model::

        trainer = DPOTrainer(..., callbacks=[DriftCallback()])

    Where a trainer samples with vLLM, its engine writes the replies once the callback is given the trainer, which
    callbacks are not by themselves: `use_engine(trainer)`.

    Args:
        pack: Topic pack, or its name or path.
        baseline: Folder of the SFT run, or of `driftwatch baseline`; `None` compares with the start of this run, and
            with the SFT model where switching LoRA adapters reaches it.
        alerting_baseline: Which baseline alerts rest on; `None` prefers "sft" where there is one, and it can be asked
            for replies if they are drawn.
        probes: Names or objects.
        confirm: How replies are drawn and who reads them; `None` leaves it at the screen.
        schedule: At which steps to look, and at what cost.
        alpha: Probability of any false alert in the whole run that is tolerated, in (0, 1).
        tolerance: Drift that is put up with, as a change of a stance's share in [0, 1); an alert beyond it is
            "material". One number, or a number by topic, with "default" for the others. A resumed run keeps its own.
        run: Name of the run; `None` takes the Trainer's run_name, or makes one from the time.
        output_dir: Folder in which the run's folder is made; `None` takes "driftwatch" in the Trainer's output folder.
        exporters: Names or objects.
        actions: Names or objects; what to do about a specific alert, "save" or "stop". None by default.
        seed: Of everything that is drawn; `None` derives it from the run's own id, so that another training draws other
            questions and does not repeat a false alarm. Kept with the run; a resumed run goes on with its own.
        on_error: "warn" keeps training whatever happens to a look; "raise" is for tests.

    Raises:
        ConfigError, PackError, PluginError: A setting that cannot work.
    """

    # The instance made last, for `restored`; a weak reference, so that nothing is kept alive.
    _newest: ClassVar[Callable[[], "DriftCallback | None"]] = lambda: None

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
        if restored and (passed := DriftCallback._newest()) is not None:
            # transformers replaces the callback that was passed in by a copy made from plain values. Probes and judges
            # do not survive that, so the copy takes over everything from the original.
            self.__dict__.update(passed.__dict__)
            return
        if on_error not in ("warn", "raise"):
            raise ConfigError(f'on_error is "warn" or "raise"; found {on_error!r}.')
        check_lists(actions=actions)  # the rest is the Monitor's
        self.monitor = Monitor(
            pack,
            baseline=baseline,
            alerting_baseline=alerting_baseline,
            probes=probes,
            confirm=confirm,
            schedule=schedule,
            alpha=alpha,
            tolerance=tolerance,
            run=run,
            output_dir=output_dir or "driftwatch-runs",
            exporters=exporters,
            seed=seed,
        )
        ours = {name: value for name, value in self.monitor.settings.items() if name != "clock"}
        self._settings: dict[str, Any] = {
            **ours,
            "output_dir": ours["output_dir"] if output_dir is not None else None,
            "actions": tuple(actions),
            "on_error": on_error,
        }
        self.progress: dict[str, Any] = {}
        self._actions: list[Action] = [plugins.made("actions", action) for action in actions]
        self._draws_replies = confirm is not None
        self._trainer: Callable[[], Any] = nothing
        self._asked_to_stop: int | None = None
        self._own_output_dir = output_dir is not None
        self._on_error = on_error
        self._running = False
        self._seen_step = -1
        self._said: set[str] = set()
        self._late = LateStart()
        self._is_off = False
        self._resumed: str | None = None  # folder of the run that this training goes on with
        self._schedule = schedule or Schedule()
        DriftCallback._newest = weakref.ref(self)
        self._own = frozenset(vars(self)) | {"_own"}

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, in this process or another one, has the same settings and no run."""
        extras = {name: value for name, value in vars(self).items() if name not in self._own}
        return renewed, (type(self), self._settings, extras)

    def use_engine(self, trainer: Any) -> None:
        """Have the replies written by the vLLM of a TRL trainer that samples with it (`use_vllm=True`); before `train`.

        Without this, and where its engine cannot be asked, they are sampled in-process, which is right and slower. A
        trainer that samples without vLLM may be given, too::

            watch = DriftCallback(confirm=Confirmation())
            trainer = GRPOTrainer(..., callbacks=[watch])
            watch.use_engine(trainer)

        Args:
            trainer: The one that this callback was given to. It is not kept alive.

        Raises:
            ConfigError: This is no trainer.
        """
        check_trainer(trainer)
        self._trainer = weakly(trainer)

    # Trainer events

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prepare, find the baselines, and take the first look; what cannot work raises."""
        # A checkpoint of a training without driftwatch has no entry of ours, and the Trainer fails at its next
        # checkpoint on a callback that it has not seen (transformers 5.23, Trainer._save_checkpoint).
        state.stateful_callbacks.setdefault(type(self).__name__, self.state())
        self._late, self._running = LateStart(), False
        if num_ranks() == 1 and looks_are_off():
            return
        try:
            self._meet(state)
            self._begin(args, state, **kwargs)
        except SETTINGS:
            raise
        except Exception as err:
            if isinstance(err, RanksError) and err.is_setting:  # of another rank; wrong settings raise on all
                raise ConfigError(str(err)) from err
            if self._on_error == "raise":
                raise
            self._put_off(state.global_step, err)

    def _meet(self, state: TrainerState) -> None:
        """Find the other ranks, and the run that goes on; what ranks may see differently, rank 0 decides."""
        self.monitor.meet()
        with self.monitor.part("start"):
            self._is_off, self._resumed = on_first(
                lambda: (looks_are_off(), self._resumed_folder(state)), "beginning to watch"
            )

    def _begin(self, args: TrainingArguments, state: TrainerState, **kwargs: Any) -> None:
        """Begin the run at this step, the first of training or, after a first observation that failed, a later one."""
        if self._is_off:
            return
        monitor, model, trainer = self.monitor, policy_of(kwargs["model"]), trainer_of(args)
        tokenizer = tokenizer_of(kwargs.get("processing_class"), kwargs.get("train_dataloader"))
        optimizer = kwargs.get("optimizer")
        with monitor.part("settings"):
            everywhere(lambda: self._check(model, tokenizer, trainer, optimizer), "checking the settings")
            engine = self._engine(args)
        if not self._own_output_dir:
            monitor.output_dir = absolute(args.output_dir) / "driftwatch"
        if monitor.run is None and args.run_name and args.run_name != args.output_dir:
            monitor.run = run_name(args.run_name)
        monitor.attach(args, state)
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
            notes=self._late.note(state.global_step),
        )
        monitor.end_with(model)
        self._running, self._seen_step = True, state.global_step
        self.progress = monitor.progress

    def _put_off(self, step: int, err: Exception) -> None:
        """Training goes on; what it moves until the run begins is not seen."""
        if not self.monitor.has_met:
            self._go_unwatched(err)
            return
        text = self._late.failed(step, err)
        if text is not None and speaks(err):
            logger.warning("%s", text, exc_info=err)
        self._note_failure(step, err)

    def _begin_if_due(self, args: TrainingArguments, state: TrainerState, kwargs: dict[str, Any]) -> None:
        if not self._schedule.is_due(state.global_step):
            return
        try:
            self.monitor.meet()
            self._begin(args, state, **kwargs)
        except Exception as err:  # noqa: BLE001 - training is under way: nothing of ours ends it any more
            self._put_off(state.global_step, err)

    def _go_unwatched(self, err: Exception) -> None:
        """Where the ranks cannot watch together, nothing is watched, and the training goes on."""
        self._late = LateStart()
        if speaks(err):
            cause = str(err) if isinstance(err, RanksError) else f"{type(err).__name__}: {err}"
            logger.warning("nothing is watched from here on, and training goes on: %s", cause)
        self.monitor.close("failed")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Look, if the schedule says so. Some trainers call this more than once a step."""
        if state.global_step == self._seen_step or (num_ranks() == 1 and looks_are_off()):
            return
        if self._late.is_wanted and not self._running:
            self._seen_step = state.global_step
            self._begin_if_due(args, state, kwargs)
        if state.global_step == self._seen_step or not self._running:
            return
        self._seen_step = state.global_step
        if self._asked_to_stop is not None:
            self._guarded(state.global_step, self._report_ignored_stop)
        self._guarded(state.global_step, lambda: self._look_if_due(kwargs["model"], state.global_step, control))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the last look, unless this step was looked at and read already, and end the run."""
        if not self._running:
            return
        self._guarded(state.global_step, lambda: self._look_at_end(kwargs["model"], state.global_step))
        self._running = False
        finished = state.max_steps <= 0 or state.global_step >= state.max_steps
        self._guarded(state.global_step, lambda: self.monitor.close("finished" if finished else "stopped"))

    def _check(self, model: Any, tokenizer: Any, trainer: TrainerSupport | None, optimizer: Any) -> None:
        """Refuse what cannot be asked, and say beforehand what a trainer will not do."""
        if (why := refusal(model, trainer)) is not None:
            raise UnfitError(why)
        if tokenizer is None:
            raise UnfitError(NO_TOKENIZER)
        with contextlib.suppress(NotAsked):  # the first look says what is wrong, and how to mend it
            if (why := why_not_causal(model, tokenizer, optimizer=optimizer)) is not None:
                raise UnfitError(NOT_CAUSAL.format(model=type(model).__name__, why=why))
        if trainer is not None and not trainer.stops and any(action.name == "stop" for action in self._actions):
            logger.warning(
                '%s does not heed a request to stop: the action "stop" will be reported, and training goes on',
                trainer.trainer,
            )

    def _engine(self, args: TrainingArguments) -> Engine | str | None:
        """Who writes the replies in place of this process, as `find_engine` says; `None` where nobody was named."""
        trainer = self._trainer()
        if not self._draws_replies:
            return None
        if trainer is None and getattr(args, "use_vllm", False):
            logger.warning("replies are sampled in-process; use_engine(trainer) has the trainer's vLLM write them")
        return find_engine(trainer)

    # State that goes into checkpoints

    def state(self) -> dict[str, Any]:
        """Where this run is kept and how far it is; plain values only."""
        return {"args": {"restored": True}, "attributes": {"progress": dict(self.progress)}}

    def _resumed_folder(self, state: TrainerState) -> str | None:
        """Folder of the run that a checkpoint belongs to, if training goes on from one.

        Our own entry of the state is read directly: transformers restores callbacks only when told to, and
        `args.resume_from_checkpoint` is empty when the checkpoint was given to `train()`.
        """
        if state.global_step == 0:
            return None
        entry = state.stateful_callbacks.get(type(self).__name__, {})
        entry = entry[0] if isinstance(entry, list) and entry else entry
        folder = entry.get("attributes", {}).get("progress", {}).get("folder") if isinstance(entry, dict) else None
        if folder is None or not Path(folder, "run.json").is_file():
            logger.warning(
                "training goes on from step %d, and the run folder of its checkpoint is %s; a new run begins here, "
                'whose baseline "start" is this step',
                state.global_step,
                f"gone ({folder})" if folder else "not named in it",
            )
            return None
        return str(folder)

    # The one guard

    def _look_if_due(self, model: Any, step: int, control: TrainerControl) -> None:
        if not self.monitor.is_due(step, is_off=looks_are_off()):
            return
        record = self.monitor.observe(policy_of(model), step)
        if not self._actions or not is_called_for(record):
            return
        with self.monitor.part(f"act-{step}"):
            act_together(self._actions, record, control)
        if control.should_training_stop:
            self._asked_to_stop = step

    def _look_at_end(self, model: Any, step: int) -> None:
        if self.monitor.is_wanted_at_end(step, is_off=looks_are_off()):
            self.monitor.observe(policy_of(model), step, phase="end")

    def _report_ignored_stop(self) -> None:
        step, self._asked_to_stop = self._asked_to_stop, None
        assert step is not None
        text = f"this trainer ignored the request of step {step} to stop; stop it by hand"
        logger.warning("%s", text)
        if self.monitor.store is not None:  # on rank 0
            self.monitor.store.append_event("stop ignored", attempt=self.monitor.attempt, step=step, text=text)

    def _guarded(self, step: int, call: Callable[[], object]) -> None:
        """Run a part of ours; whatever happens in it, training goes on."""
        try:
            call()
        except Exception as err:
            if self._on_error == "raise":
                raise
            cause = f"{type(err).__name__}: {err}"
            if cause not in self._said and speaks(err):  # once a cause; the rest is in the counter and the records
                self._said.add(cause)
                logger.warning("the look at step %d failed, training goes on: %s", step, cause, exc_info=err)
            self._note_failure(step, err)
            if self.monitor.is_alone:
                self._running = False
                self._go_unwatched(err)
        self.progress = self.monitor.progress

    def _note_failure(self, step: int, err: Exception) -> None:
        try:
            self.monitor.fail(step, err)
        except Exception:
            logger.exception("the failure at step %d could not be recorded; training goes on", step)
