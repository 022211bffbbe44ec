"""Afterwards: a place behind all other callbacks at the end of training.

Callbacks that average weights put the averages in place when training ends, and whoever stands behind them in the list
sees those. The Trainer calls its callbacks one after the other from one list; who is added to its end while it does is
called last. Who leaves the list meanwhile, from any other place than its end, makes the Trainer pass over the next one.
"""

import sys
from types import FrameType
from typing import Any, Protocol

from transformers import TrainerCallback


class Finishes(Protocol):
    """Who has something to do when all others are done."""

    def finish(self, args: Any, state: Any, model: Any) -> None:
        """Training has ended, and whoever wanted to change the weights has."""
        ...


class Afterwards(TrainerCallback):  # type: ignore[misc] # transformers publishes no types
    """Calls `finish` at the end of the training that is ending, once.

    Args:
        handler: Of the Trainer's callbacks.
        whose: Callback.
    """

    def __init__(self, handler: Any, whose: Finishes) -> None:
        self._callbacks = handler.callbacks
        self._whose: Finishes | None = whose

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Left over from a training whose end another callback has broken off."""
        self._whose = None
        self._leave()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The end, behind all others."""
        whose, self._whose = self._whose, None
        self._leave()
        if whose is not None:
            whose.finish(args, state, kwargs["model"])

    def _leave(self) -> None:
        """The last one takes along all others that are done; nobody comes behind it to be passed over."""
        if self._callbacks and self._callbacks[-1] is self:
            kept = [one for one in self._callbacks if not (isinstance(one, Afterwards) and one._whose is None)]
            self._callbacks[:] = kept


def handler_of(callback: TrainerCallback) -> Any | None:
    """The handler that is calling a callback just now, as its thread's stack shows it; `None` where none is."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        called = getattr(owner, "callbacks", None)
        if isinstance(called, list) and any(one is callback for one in called):
            return owner
        frame = frame.f_back
    return None
