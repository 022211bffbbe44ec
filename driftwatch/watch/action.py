"""Action: one thing that a run may do about an alert. Without torch, as it is a setting."""

from typing import Any, Protocol, runtime_checkable

from driftwatch.record.record import Record


@runtime_checkable
class Action(Protocol):
    """One thing to do when a value has moved."""

    name: str

    def act(self, record: Record, control: Any) -> None:
        """Called on every rank after an observation that raised a specific alert."""
        ...
