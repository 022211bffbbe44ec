"""RunStore: one folder per run, with append-only JSON lines that survive `kill -9` at any byte.

::

    RUN/
      run.json           RunInfo; written once, beside and renamed
      events.jsonl       begin, end, and what happened between; the run's state is derived from it
      records.jsonl      one Record per observation
      stances.jsonl      one line per observation: the stance of every item, for readers who ask "which questions?"
      baseline-*.json    what the run compares with: identity and stances
      pack.json          the topic pack, for readers who do not have it
      endpoint.json      where /metrics is served
      webhook.json       the last alert that is settled with a webhook
      heartbeat          touched while the process lives; tells a crashed run from a running one
      writer.json        the process that writes; removed when the run has ended
      replies/, evidence.json, baseline-replies.jsonl      what alerts rest on
      evidence.jsonl     the evidence after each observation, for runs that go on from a checkpoint

A line is written together with its end in one call, and flushed. If the process dies while it writes, readers drop the
torn last line and the next writer cuts it off, both with a warning. Any other damaged line is skipped alone. Lines are
never rewritten.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from driftwatch.drift.calibration import Calibration, LabelFit
from driftwatch.drift.validity import Tally, Validity
from driftwatch.errors import StoreError
from driftwatch.record.record import BaselineName, Record, RunInfo, record_from_json, run_info_from_json, to_json
from driftwatch.stance import Stance
from driftwatch.store import writer
from driftwatch.store.tail import Tail, end_of_lines
from driftwatch.topics.topic import TopicPack
from driftwatch.wording import RunState

logger = logging.getLogger(__name__)

Value = TypeVar("Value")
STALE_SECONDS = 90.0  # heartbeats come every 15 s; if six are missed, the process is dead, not the disk slow
MAX_NAME = 128  # characters of a run's name
NAME = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the run.

    Attributes:
        kind: "begin" with the step from which the run began, "end" with the reason, or anything else worth a line.
        timestamp: Unix time in seconds.
        text: Text for people; of "end", the state in which the run ended.
    """

    kind: str
    attempt: int
    step: int
    timestamp: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class LookStances:
    """The stances of all items at one observation."""

    look: int
    step: int
    attempt: int
    stances: tuple[Stance, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """A judge's judgements of replies of a baseline model.

    Attributes:
        identity: Judge, sampling and form of the questions; a run that shares them may count these replies as its own.
        counts: Number of replies by topic, item and outcome.
        validity: Whether the screen says what the replies say, by probe, with the baseline's calibration.
        fit: The calibration fitted to these replies, with its losses, whether it was kept or not; `None` where there
            are too few replies.
    """

    identity: dict[str, str]
    counts: Tally
    validity: tuple[Validity, ...]
    fit: LabelFit | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a run compares with: identity and the uncalibrated stance of every item.

    Attributes:
        name: "sft" or "start".
        model: Name or path of the model that was asked.
        identity: What two measurements must share to be comparable, by part.
        calibration: Offsets and temperature that were frozen with the baseline, as a mapping of the fields of
            `drift.calibration.Calibration`; `None` where nothing is frozen.
        labels: Judged replies of the model; `None` where it was not asked for any.
    """

    name: BaselineName
    model: str
    identity: dict[str, str]
    stances: tuple[Stance, ...]
    calibration: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    labels: Labels | None = None

    @property
    def frozen(self) -> Calibration | None:
        """The calibration that was frozen with the baseline; `None` where there is none."""
        return None if self.calibration is None else msgspec.convert(self.calibration, Calibration)


def valid_run_name(name: str) -> str:
    """The name itself, if it can be that of a folder and a label.

    Raises:
        StoreError: The name has anything but letters, digits, dots, dashes and underscores, or is too long.
    """
    if not re.fullmatch(NAME, name):
        raise StoreError(
            f"a run's name is 1 to {MAX_NAME} letters, digits, dots, dashes and underscores, beginning with a letter "
            f"or digit; found {name!r}."
        )
    return name


class RunStore:
    """The folder of one run, to read and to write.

    Args:
        folder: The run's folder; its name is the run's name.
        clock: Gives the Unix time in seconds; a parameter for tests.

    Attributes:
        damaged: Number of lines that could not be read, by file, for the files that were read so far.
    """

    def __init__(self, folder: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = Path(folder)
        self._clock = clock
        self._whole: set[Path] = set()
        self.damaged: dict[str, int] = {}

    @property
    def exists(self) -> bool:
        """Whether a run began here."""
        return (self.folder / "run.json").is_file()

    # Writing

    def create(self, info: RunInfo) -> None:
        """Make the folder and describe the run in it; an existing description is kept.

        Raises:
            StoreError: The folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self.exists:
                self.write_json("run.json", info)
            self.beat()
        except OSError as err:
            raise StoreError(
                f"expected a folder that can be written for run data; {self.folder} cannot be ({err.strerror}). "
                "Pass output_dir=… with a writable folder."
            ) from err

    def claim(self) -> bool:
        """Become the one process that writes the run; False if another writer lives."""
        return writer.claim(self.folder)

    def release(self) -> None:
        """Stop being the writer."""
        writer.release(self.folder)

    def append(self, record: Record) -> None:
        """Add one observation and flush it to disk."""
        self.append_line("records.jsonl", record)

    def append_event(self, kind: str, *, attempt: int, step: int, text: str = "") -> None:
        """Add an event with the current time."""
        self.append_line("events.jsonl", Event(kind, attempt, step, self._clock(), text))

    def append_line(self, name: str, value: Any) -> None:
        """Add one JSON line to a file of the run and flush it to disk."""
        path = self.folder / name
        if path not in self._whole:
            path.parent.mkdir(parents=True, exist_ok=True)
            _cut_torn_line(path)
        self._whole.discard(path)  # until this write is complete, since a full disk can tear it
        with path.open("ab") as file:
            file.write(to_json(value) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._whole.add(path)

    def write_json(self, name: str, value: Any) -> None:
        """Write a small file under another name and rename it, so that no reader sees half of it."""
        path = self.folder / name
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                file.write(msgspec.json.format(to_json(value), indent=1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def write_baseline(self, baseline: Baseline) -> None:
        """Store a baseline with which the run compares."""
        self.write_json(f"baseline-{baseline.name}.json", baseline)

    def write_pack(self, pack: TopicPack) -> None:
        """Store the topic pack of the run."""
        self.write_json("pack.json", pack)

    def beat(self) -> None:
        """Touch the heartbeat file, to say that the process lives."""
        (self.folder / writer.HEARTBEAT).touch()

    # Reading

    def info(self) -> RunInfo:
        """The run's attributes.

        Raises:
            StoreError: There is no run here, or it cannot be read.
        """
        try:
            return run_info_from_json((self.folder / "run.json").read_bytes())
        except FileNotFoundError as err:
            raise StoreError(
                f"expected the folder of a run, with run.json in it; found none in {self.folder}. "
                "`driftwatch runs list DIR` shows the runs below a folder."
            ) from err
        except OSError as err:
            raise StoreError(f"{self.folder / 'run.json'} cannot be read ({err.strerror}).") from err

    def records(self, *, superseded: bool = False) -> list[Record]:
        """All observations, oldest first.

        Args:
            superseded: Whether to include those later than a checkpoint from which the run was resumed, marked as such.
                They stay in the file because evidence is never rolled back; curves and metrics leave them out.
        """
        resumed = [(e.attempt, e.step) for e in self.events() if e.kind == "begin"]
        found = []
        for record in self.values("records.jsonl", record_from_json):
            if any(attempt > record.attempt and step < record.step for attempt, step in resumed):
                record = replace(record, superseded=True)
            if superseded or not record.superseded:
                found.append(record)
        return found

    def events(self) -> list[Event]:
        """Everything that happened to the run, oldest first."""
        return list(self.values("events.jsonl", msgspec.json.Decoder(Event).decode))

    def look_stances(self) -> Iterator[LookStances]:
        """The stances of all items, observation by observation, oldest first."""
        yield from self.values("stances.jsonl", msgspec.json.Decoder(LookStances).decode)

    def baseline(self, name: BaselineName) -> Baseline | None:
        """A baseline of the run; `None` where the run has no baseline of this name.

        Raises:
            StoreError: Its file is damaged.
        """
        path = self.folder / f"baseline-{name}.json"
        if not path.is_file():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Baseline)
        except (msgspec.DecodeError, msgspec.ValidationError) as err:
            raise StoreError(f"{path} is not a whole baseline ({err}). Remake it with `driftwatch baseline`.") from err

    def pack(self) -> TopicPack | None:
        """The topic pack of the run; `None` where the run did not store it.

        Raises:
            StoreError: Its file holds something else.
        """
        path = self.folder / "pack.json"
        if not path.is_file():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=TopicPack)
        except (msgspec.DecodeError, msgspec.ValidationError) as err:
            raise StoreError(
                f"expected the pack of the run in {path}; found another thing ({err}). Delete it."
            ) from err

    def state(self) -> RunState:
        """The run's state, from its last begin or end and its heartbeat."""
        last = next((e for e in reversed(self.events()) if e.kind in ("begin", "end")), None)
        if last is not None and last.kind == "end":
            known: dict[str, RunState] = {"finished": "finished", "stopped": "stopped"}
            return known.get(last.text, "failed")
        try:
            age = self._clock() - (self.folder / "heartbeat").stat().st_mtime
        except OSError:
            return "crashed"
        return "running" if age < STALE_SECONDS else "crashed"

    def values(self, name: str, decode: Callable[[bytes], Value]) -> Iterator[Value]:
        """The decoded lines of a file of the run; a damaged line is skipped, counted and reported.

        A power cut (after which file systems leave holes of NUL bytes), a full disk or two writers can damage lines.

        Args:
            name: Name of the file in the run's folder.
            decode: Makes a value of one line.

        Raises:
            StoreError: A newer driftwatch wrote the file.
        """
        tail = Tail(self.folder / name)
        for _, value in tail.values(decode):
            yield value
        self._report(tail)
        if tail.damaged > self.damaged.get(name, 0):
            logger.warning(
                "%s: what cannot be read is passed over: %d of its lines, the first for this: %s",
                tail.path,
                tail.damaged,
                tail.problem,
            )
        self.damaged[name] = tail.damaged

    def lines(self, name: str) -> Iterator[bytes]:
        """The whole lines of a file of the run, without line ends; a torn last line is dropped and reported."""
        tail = Tail(self.folder / name)
        for line in tail.lines():
            yield line.text
        self._report(tail)

    def _report(self, tail: Tail) -> None:
        if tail.unfinished:
            logger.warning("%s ends in a torn line of %d bytes, which was dropped", tail.path, tail.unfinished)


def _cut_torn_line(path: Path) -> None:
    """Remove what a killed writer left after the last line end, so that the next line begins cleanly."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        kept = end_of_lines(file)
        size = file.seek(0, os.SEEK_END)
        if kept < size:
            logger.warning("%s ended in a torn line of %d bytes, which was cut", path, size - kept)
            file.truncate(kept)


def folder_of_runs(folder: str | Path) -> Path:
    """The path of a folder that holds runs, after a check that it exists.

    Raises:
        StoreError: There is no folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise StoreError(
            f"expected a folder with runs; found no folder at {root}. A Trainer keeps its runs in driftwatch below its "
            "output_dir, any other loop in driftwatch-runs where it was started."
        )
    return root


def find_runs(folder: str | Path) -> list[RunStore]:
    """The runs in a folder and the folders right below it, newest first."""
    root = folder_of_runs(folder)
    stores = [RunStore(path) for path in [root, *sorted(root.iterdir())] if (path / "run.json").is_file()]
    return sorted(stores, key=lambda store: (store.folder / "run.json").stat().st_mtime, reverse=True)
