"""Exporter: a channel that carries records out of the training process, best effort and off its thread."""

from typing import Any, Protocol, runtime_checkable

from driftwatch.record.record import Record, RunInfo
from driftwatch.store.run_store import RunStore


@runtime_checkable
class Exporter(Protocol):
    """One channel, called from one background thread. Whatever it raises is counted and logged, and stops nothing else.

    Attributes:
        name: A short name, which is the label of its failures.
    """

    name: str

    def open(self, info: RunInfo, store: RunStore) -> None:
        """Begin a run; called once before the first record on the training thread, so do not wait for the network."""
        ...

    def export(self, record: Record) -> None:
        """Deliver one record; this may take seconds, within a time limit of its own."""
        ...

    def beat(self, timestamp: float) -> None:
        """Note that the trainer lives; called about every 15 s, also while nothing is measured."""
        ...

    def close(self, state: str) -> None:
        """Deliver what must outlive the process; the run ended in `state`: "finished", "stopped" or "failed"."""
        ...


@runtime_checkable
class BesideTrainer(Protocol):
    """What an exporter has in addition, if it writes where the Trainer writes."""

    def attach(self, args: Any, state: Any) -> None:
        """Take the Trainer's TrainingArguments and TrainerState; called on every rank before `open`."""
        ...
