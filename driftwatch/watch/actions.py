"""Actions: what a run does about an alert if the user asked for it.

By default nothing acts, and alerts appear in the log, the record and the page only. An action is given the record in
which alerts appeared and the Trainer's control, and sets a flag there. Only *specific* alerts on direction call for
actions; the other alerts say that the model changed its response style.
"""

import logging
from collections.abc import Sequence
from copy import copy
from typing import Any

from driftwatch.host.ranks import together
from driftwatch.record.record import Record
from driftwatch.watch.action import Action

logger = logging.getLogger(__name__)


class SaveAction:
    """Saves a checkpoint, so that the model as it is now can be examined later."""

    name = "save"

    def act(self, record: Record, control: Any) -> None:
        """Ask the Trainer to save after this step."""
        control.should_save = True


class StopAction:
    """Stops training. Some trainers ignore the request; the callback notices and says so."""

    name = "stop"

    def act(self, record: Record, control: Any) -> None:
        """Ask the Trainer to stop after this step."""
        control.should_training_stop = True


def act_together(actions: Sequence[Action], record: Record, control: Any) -> None:
    """Have every action act on every rank, and set on each rank what any of them was asked for.

    Otherwise an action that acts on one rank only would stop or save there alone, and the other ranks would wait for
    that rank for ever.

    Args:
        actions: The actions, called in this order.
        record: The observation's record.
        control: The Trainer's control; unchanged if an action fails.

    Raises:
        RanksError: An action failed on some rank; raised on every rank.
    """
    before = dict(vars(control))

    def act() -> dict[str, Any]:
        own = copy(control)
        for action in actions:
            action.act(record, own)
        return {name: value for name, value in vars(own).items() if before.get(name) != value}

    # Rank 0 comes last, since its word counts if two ranks say different things.
    for changed in reversed(together(act, "what an alert calls for")):
        vars(control).update(changed)


def is_called_for(record: Record) -> bool:
    """Whether this observation raised a specific alert on direction."""
    return any(alert.label == "specific" and alert.kind == "direction" for alert in record.alerts)
