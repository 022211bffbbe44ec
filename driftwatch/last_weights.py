"""Last weights: where a Trainer puts others in their place at the end of training (`load_best_model_at_end`).

`on_train_end` comes after that, so what is asked there is the best checkpoint and not the weights of the last step. It
depends on the version whether any event lies between the end of training and the change: transformers 5.23 logs the
figures of training before it, 5.0 after it. Whether the weights have been changed is seen on the weights.
"""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

FEW = 8  # trained parameters that are looked at
OVER = "train_runtime"  # the Trainer logs it once, when training is over

Mark = tuple[tuple[int, int], ...]


def mark_of(model: Any) -> Mark:
    """What tells that weights were written since: their place, and how often they were changed in it."""
    trained = (weight for weight in model.parameters() if weight.requires_grad)
    return tuple((weight.data_ptr(), weight._version) for weight in islice(trained, FEW))


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
