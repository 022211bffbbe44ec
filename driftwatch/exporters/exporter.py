"""Exporter: a channel that carries records out of the training process, best effort and off its thread."""

from typing import Any, Protocol, runtime_checkable

from driftwatch.record.record import Record, RunInfo
from driftwatch.store.run_store import RunStore


@runtime_checkable
class Exporter(Protocol):
    """One channel. Called from one background thread; what it raises is counted and logged, and stops nobody.

    Attributes:
        name: Short; the label of its failures.
    """

    name: str

    def open(self, info: RunInfo, store: RunStore) -> None:
        """Called once before the first record, on the training thread, so it must not wait for the network."""
        ...

    def export(self, record: Record) -> None:
        """Deliver one record; may take seconds, with its own time limit."""
        ...

    def beat(self, timestamp: float) -> None:
        """The trainer lives; called about every 15 s, also while nothing is measured."""
        ...

    def close(self, state: str) -> None:
        """The run ended in `state` ("finished", "stopped" or "failed"); deliver what must outlive the process."""
        ...


@runtime_checkable
class BesideTrainer(Protocol):
    """What an exporter also has that writes where the Trainer writes."""

    def attach(self, args: Any, state: Any) -> None:
        """Take the Trainer's TrainingArguments and TrainerState; called on every rank before `open`."""
        ...
