"""Action: one thing that a run may do about an alert. Loads no torch, because it is part of the settings."""

from typing import Any, Protocol, runtime_checkable

from driftwatch.record.record import Record


@runtime_checkable
class Action(Protocol):
    """One thing to do when a value has moved."""

    name: str

    def act(self, record: Record, control: Any) -> None:
        """Act on an alert; called on every rank after an observation that raised a specific alert."""
        ...
