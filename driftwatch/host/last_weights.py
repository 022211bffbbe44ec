"""Last weights: which weights a training leaves, and whether they are those that were asked last.

A Trainer may put the best checkpoint in their place at the end of training (`load_best_model_at_end`), other callbacks
averages (EMA, SWA), all of which comes after the last step. It depends on the version whether any event lies between
the end of training and the change: transformers 5.23 logs the figures of training before it, 5.0 after it. Whether
weights have been changed is seen on the weights.
"""

import logging
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from driftwatch.host.fingerprint import checksum
from driftwatch.host.lockstep import is_sharded

logger = logging.getLogger(__name__)

FEW = 8  # trained parameters that are looked at after each step
OVER = "train_runtime"  # the Trainer logs it once, when training is over
OTHERS = "an average, or of another callback's making"
KEPT = 64  # trainings of one process whose last weights are remembered

Mark = tuple[tuple[int, int], ...]


class Weights:
    """What is known of the weights of one training as it goes. Whatever they are, nothing here raises."""

    _left: ClassVar[dict[str, str]] = {}  # by checksum, what trainings of this process have left

    def __init__(self) -> None:
        self._mark: Mark = ()
        self._asked: tuple[int, str] = (-1, "")
        self._trained_on: tuple[int, str] = (-1, "")  # a step in which training went on after it was asked

    def stepped(self, model: Any, step: int) -> None:
        """A step of training has ended, or a part of it; what it left is marked, and read only where it was asked."""
        mark, (asked_at, asked) = mark_of(model), self._asked
        if asked_at == step and mark != self._mark:
            now = known(model)
            if (now != asked) if now and asked else not is_sharded(model):
                self._trained_on = (step, now)
        self._mark = mark

    def asked(self, model: Any, step: int) -> None:
        """These were asked, at this step."""
        self._asked, self._mark = (step, known(model)), mark_of(model)
        self._trained_on = (-1, "")

    def has_trained_on(self, step: int) -> bool:
        """Whether training has changed the weights after they were asked, within the same step."""
        return self._trained_on[0] == step

    def are_others(self, model: Any, step: int) -> bool:
        """Whether a model's weights are not those that the last step left, as far as this rank sees."""
        left_at, left = self._trained_on if self.has_trained_on(step) else self._asked
        if left_at == step and left and (now := known(model)):
            return left != now
        # A sharded parameter moves at each use; only where it was asked at the last step is it known.
        return bool(self._mark) and self._mark != mark_of(model) and not is_sharded(model)

    def leave(self, model: Any, run: str, step: int) -> None:
        """Training has ended with these."""
        if not (now := known(model)):
            return
        while len(Weights._left) >= KEPT:
            Weights._left.pop(next(iter(Weights._left)))
        Weights._left[now] = f"training starts from the weights that run {run} left at step {step}"

    def left_by(self, model: Any) -> tuple[str, ...]:
        """Whose weights a training starts from, in words, if a watched training of this process has left them."""
        found = Weights._left.get(known(model)) if Weights._left else None
        return () if found is None else (found,)


def known(model: Any) -> str:
    """The checksum of a model's weights; empty where they cannot be read bit by bit, or there is no memory for it."""
    try:
        return checksum(model)
    except Exception:  # whatever kind of weights it is, training goes on
        logger.debug("the weights of %s have no checksum", type(model).__name__, exc_info=True)
        return ""


def mark_of(model: Any) -> Mark:
    """What tells that weights were written since: their place, and how often they were changed in it."""
    trained = (weight for weight in model.parameters() if weight.requires_grad)
    return tuple(_mark_of_one(weight) for weight in islice(trained, FEW))


def _mark_of_one(weight: Any) -> tuple[int, int]:
    try:
        return weight.data_ptr(), weight._version
    except (RuntimeError, ValueError):  # sparse ones have no place, and those to come have nothing yet
        return 0, 0


def is_over(state: Any, control: Any, logs: Mapping[str, Any] | None = None) -> bool:
    """Whether training is over with this step, as far as an event tells."""
    at_its_end = state.max_steps > 0 and state.global_step >= state.max_steps
    return bool(at_its_end or control.should_training_stop or OVER in (logs or ()))


def put_back(args: Any, state: Any) -> str:
    """What the Trainer has put in place of the last step's weights, in words; empty where it is those."""
    best = state.best_model_checkpoint if args.load_best_model_at_end else None
    if best is None or Path(best).name == f"checkpoint-{state.global_step}":
        return ""
    return f"the best checkpoint, {Path(best).name}"
