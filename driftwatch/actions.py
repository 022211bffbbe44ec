"""Actions: what a run may do about an alert, if it was asked to. By default nothing acts: log, record and page tell.

An action is given the record in which alerts appeared and the Trainer's control, and sets a flag there. Only *specific*
alerts on direction act: the others say that the model changed its manners.
"""

import logging
from typing import Any, Protocol, runtime_checkable

from driftwatch.record import Record

logger = logging.getLogger(__name__)


@runtime_checkable
class Action(Protocol):
    """One thing to do when a value has moved."""

    name: str

    def act(self, record: Record, control: Any) -> None:
        """Called on every rank after a look that raised a specific alert."""
        ...


class SaveAction:
    """Saves a checkpoint: what the model is now can be looked at later."""

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


def is_called_for(record: Record) -> bool:
    """Whether this look raised a specific alert on direction."""
    return any(alert.label == "specific" and alert.kind == "direction" for alert in record.alerts)
