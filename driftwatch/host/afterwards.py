"""Afterwards: a place behind all other callbacks at the end of training.

Callbacks that average weights put the averages in place when training ends, and only callbacks behind them in the list
see these. The Trainer calls its callbacks one after the other from one list. A callback that is appended meanwhile is
called last. If one leaves the list meanwhile from any place but its end, the Trainer skips the next one.
"""

import sys
from types import FrameType
from typing import Any, Protocol

from transformers import TrainerCallback


class Finishes(Protocol):
    """A callback that has something to do when all others are done."""

    def finish(self, args: Any, state: Any, model: Any) -> None:
        """Called when training has ended, and every other callback has changed the weights if it wanted to."""
        ...


class Afterwards(TrainerCallback):  # type: ignore[misc] # transformers publishes no types
    """Calls `finish` at the end of the training that is ending, once.

    Args:
        handler: The handler of the Trainer's callbacks.
        whose: The callback whose `finish` is called.
    """

    def __init__(self, handler: Any, whose: Finishes) -> None:
        self._callbacks = handler.callbacks
        self._whose: Finishes | None = whose

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave: this is left over from a training whose end another callback broke off."""
        self._whose = None
        self._leave()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the list, and call `finish`, behind all other callbacks."""
        whose, self._whose = self._whose, None
        self._leave()
        if whose is not None:
            whose.finish(args, state, kwargs["model"])

    def _leave(self) -> None:
        """If this is the last callback, remove it and all others of its kind that are done; none is skipped then."""
        if self._callbacks and self._callbacks[-1] is self:
            kept = [one for one in self._callbacks if not (isinstance(one, Afterwards) and one._whose is None)]
            self._callbacks[:] = kept


def handler_of(callback: TrainerCallback) -> Any | None:
    """The handler that is calling a callback just now, found on the thread's stack; `None` if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        called = getattr(owner, "callbacks", None)
        if isinstance(called, list) and any(one is callback for one in called):
            return owner
        frame = frame.f_back
    return None
