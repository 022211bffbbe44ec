"""Last weights: which weights a training leaves, and whether they are those that were observed last.

After the last step, a Trainer may put the best checkpoint in their place (`load_best_model_at_end`), and other
callbacks may put averages there (EMA, SWA). It depends on the version whether any event comes between the end of
training and that change: transformers 5.23 logs the training's figures before it, 5.0 after it. So the weights
themselves are checked for changes.
"""

import logging
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from driftwatch.host.fingerprint import checksum
from driftwatch.host.lockstep import is_sharded

logger = logging.getLogger(__name__)

FEW = 8  # trained parameters that are checked after each step
OVER = "train_runtime"  # the Trainer logs it once, when training is over
OTHERS = "an average, or of another callback's making"
KEPT = 64  # trainings of one process whose last weights are remembered

Mark = tuple[tuple[int, int], ...]


class Weights:
    """What is known about the weights of one training as it goes. Nothing here raises, whatever the weights are."""

    _left: ClassVar[dict[str, str]] = {}  # notes on the weights that trainings of this process left, by checksum

    def __init__(self) -> None:
        self._mark: Mark = ()
        self._asked: tuple[int, str] = (-1, "")
        self._trained_on: tuple[int, str] = (-1, "")  # the step in which training went on after the observation

    def stepped(self, model: Any, step: int) -> None:
        """Mark the weights after a step or a part of one; they are read only if this step was observed."""
        mark, (asked_at, asked) = mark_of(model), self._asked
        if asked_at == step and mark != self._mark:
            now = known(model)
            if (now != asked) if now and asked else not is_sharded(model):
                self._trained_on = (step, now)
        self._mark = mark

    def asked(self, model: Any, step: int) -> None:
        """Note that these weights were observed at this step."""
        self._asked, self._mark = (step, known(model)), mark_of(model)
        self._trained_on = (-1, "")

    def has_trained_on(self, step: int) -> bool:
        """Whether training has changed the weights after they were observed, within the same step."""
        return self._trained_on[0] == step

    def are_others(self, model: Any, step: int) -> bool:
        """Whether a model's weights are not those that the last step left, as far as this rank sees."""
        left_at, left = self._trained_on if self.has_trained_on(step) else self._asked
        if left_at == step and left and (now := known(model)):
            return left != now
        # A sharded parameter gets another place at each use, so its mark tells nothing and only a checksum would.
        return bool(self._mark) and self._mark != mark_of(model) and not is_sharded(model)

    def leave(self, model: Any, run: str, step: int) -> None:
        """Note that training has ended with these weights."""
        if not (now := known(model)):
            return
        while len(Weights._left) >= KEPT:
            Weights._left.pop(next(iter(Weights._left)))
        Weights._left[now] = f"training starts from the weights that run {run} left at step {step}"

    def left_by(self, model: Any) -> tuple[str, ...]:
        """Which run left the weights that a training starts from, in words; empty if none of this process did."""
        found = Weights._left.get(known(model)) if Weights._left else None
        return () if found is None else (found,)


def known(model: Any) -> str:
    """The checksum of a model's weights; empty if they cannot be read bit by bit, or memory is too small for it."""
    try:
        return checksum(model)
    except Exception:  # whatever kind of weights these are, training goes on
        logger.debug("the weights of %s have no checksum", type(model).__name__, exc_info=True)
        return ""


def mark_of(model: Any) -> Mark:
    """What shows later that weights were written: their place in memory, and how often they were changed there."""
    trained = (weight for weight in model.parameters() if weight.requires_grad)
    return tuple(_mark_of_one(weight) for weight in islice(trained, FEW))


def _mark_of_one(weight: Any) -> tuple[int, int]:
    try:
        return weight.data_ptr(), weight._version
    except (RuntimeError, ValueError):  # sparse weights have no single place, and uninitialised ones have none yet
        return 0, 0


def is_over(state: Any, control: Any, logs: Mapping[str, Any] | None = None) -> bool:
    """Whether training is over with this step, as far as an event tells."""
    at_its_end = state.max_steps > 0 and state.global_step >= state.max_steps
    return bool(at_its_end or control.should_training_stop or OVER in (logs or ()))


def put_back(args: Any, state: Any) -> str:
    """What the Trainer has put in place of the last step's weights, in words; empty if they stayed."""
    best = state.best_model_checkpoint if args.load_best_model_at_end else None
    if best is None or Path(best).name == f"checkpoint-{state.global_step}":
        return ""
    return f"the best checkpoint, {Path(best).name}"
