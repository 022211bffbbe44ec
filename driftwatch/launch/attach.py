"""Runs inside a training process and adds a DriftCallback to every trainer that begins to train, exactly once."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from driftwatch.errors import DriftwatchError, UnfitError
from driftwatch.launch.notes import CONFIG, Note, leave, say

if TYPE_CHECKING:
    from driftwatch.callback import DriftCallback

SETTINGS_ARE_WRONG = 3  # the exit code for wrong settings, as in all our commands


def attach_to(module: ModuleType) -> None:
    """Patch `transformers.trainer_callback`, which has just been imported; torch is not loaded for it."""
    handler = module.CallbackHandler
    handler.on_train_begin = _watching(handler.on_train_begin)
    leave(Note("loaded"))


def _watching(on_train_begin: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(on_train_begin)
    def begin(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        trainer = sys._getframe(1).f_locals.get("self")  # the trainer calls the event from one of its methods
        who = _trainer(trainer, self.model)
        with _said_in_a_line():
            added = _add_callback(self, who, args)
        if added is None:
            return on_train_begin(self, args, state, control, **kwargs)
        if hasattr(trainer, "callback_handler"):
            added.use_engine(trainer)
        # The Trainer collects callbacks with a state before this event, and a checkpoint fails on a callback that
        # it has not seen then (transformers 5.23, Trainer._save_checkpoint).
        state.stateful_callbacks.setdefault(type(added).__name__, added.state())
        with _said_in_a_line():
            try:
                found = on_train_begin(self, args, state, control, **kwargs)
            except Exception as err:
                if isinstance(err, DriftwatchError) and not isinstance(err, UnfitError):
                    raise
                # Our callback comes last, so all others are done with this event. Their errors are not ours.
                if not isinstance(err, UnfitError) and not _is_ours(err):
                    raise
                _leave_alone(self, who, added, err)
                return control
        _announce(who, added)
        return found

    return begin


@contextmanager
def _said_in_a_line() -> Iterator[None]:
    """A context that ends the command with one sentence if the settings cannot work, before training time is spent."""
    try:
        yield
    except DriftwatchError as err:
        say(str(err))
        raise SystemExit(SETTINGS_ARE_WRONG) from None


def _add_callback(handler: Any, who: str, arguments: Any) -> "DriftCallback | None":
    """Add our callback as the last one and return it; `None` where the trainer has one or cannot be watched.

    Raises:
        ConfigError, PackError, PluginError, JudgeError: The settings cannot work.
    """
    from driftwatch.callback import DriftCallback
    from driftwatch.config import load_config, make_callback
    from driftwatch.host.trainers import policy_of, tokenizer_of

    known = next((callback for callback in handler.callbacks if isinstance(callback, DriftCallback)), None)
    if known is not None:
        if not hasattr(known, "_launched"):  # otherwise the same trainer trains again
            _tell(Note("own", who), f"{who} has a DriftCallback of its own; nothing is added")
            return None
        return known
    model = policy_of(_unwrapped(handler.model))
    tokenizer = tokenizer_of(handler.processing_class, handler.train_dataloader)
    if (why := _unfit(model, tokenizer, arguments, handler.optimizer)) is not None:
        # A callback that the user passes refuses such a trainer; here the trainer may be one stage of several.
        _tell(Note("unfit", f"{who}: {why}"), f"{who} is left alone: {why}")
        return None
    callback = make_callback(load_config(os.environ.get(CONFIG) or None))
    callback._launched = True
    handler.add_callback(callback)
    return callback


def _unfit(model: Any, tokenizer: Any, arguments: Any, optimizer: Any) -> str | None:
    """The reason why a training cannot be watched, found by a trial; `None` where it can."""
    from driftwatch.host.causal import NotAsked, why_not_causal
    from driftwatch.host.trainers import NO_TOKENIZER, NOT_CAUSAL, refusal, trainer_of

    if (why := refusal(model, trainer_of(arguments))) is not None:
        return why
    if tokenizer is None:
        return NO_TOKENIZER
    try:
        why = why_not_causal(model, tokenizer, optimizer=optimizer)
    except NotAsked as err:
        why = str(err)
    return None if why is None else NOT_CAUSAL.format(model=type(model).__name__, why=why)


def _is_ours(err: BaseException) -> bool:
    """Whether an error comes from our callback."""
    frame = err.__traceback__
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__") == "driftwatch.callback":
            return True
        frame = frame.tb_next
    return False


def _leave_alone(handler: Any, who: str, added: "DriftCallback", err: Exception) -> None:
    """Remove our callback again, so that the training goes on as it would without it."""
    handler.remove_callback(added)
    added.monitor.close("failed")
    why = str(err) if isinstance(err, UnfitError) else f"its model cannot be asked ({type(err).__name__}: {err})"
    _tell(Note("unfit", f"{who}: {why}"), f"{who} is left alone: {why}")


def _announce(who: str, callback: "DriftCallback") -> None:
    monitor = callback.monitor
    if monitor.store is None:  # another rank writes
        return
    folder = str(monitor.store.folder.absolute())
    page = f", page at {monitor.url}" if monitor.url else ""
    _tell(Note("attached", who, folder), f"attached to {who}: run {folder}{page}")


def _tell(note: Note, text: str) -> None:
    """Leave a note and print a line, on rank 0 only."""
    from driftwatch.host.ranks import rank

    if rank() == 0:
        leave(note)
        say(text)


def _trainer(trainer: Any, model: Any) -> str:
    """The names of the trainer's class and of its model's class."""
    name = type(trainer).__name__ if hasattr(trainer, "callback_handler") else "a trainer"
    return f"{name} ({type(_unwrapped(model)).__name__})"


def _unwrapped(model: Any) -> Any:
    while not hasattr(model, "can_generate") and hasattr(model, "module"):
        model = model.module
    return model
