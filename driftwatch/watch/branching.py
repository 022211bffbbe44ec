"""Branching: training goes on from a checkpoint of another run, and that run stays as it is.

The branch is a run of its own, with its own folder, writer and evidence. It begins with what its parent had found by
the checkpoint: the baselines, the observations up to it, and the evidence at that point. It never takes the evidence of
later observations, which belongs to another model.
"""

import logging
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from driftwatch.host import life
from driftwatch.host.ranks import rank
from driftwatch.record.record import Cost, Parent, Record
from driftwatch.store.folder import free_folder
from driftwatch.store.run_store import RunStore
from driftwatch.watch.baselines import resume_baselines
from driftwatch.watch.budget import Books
from driftwatch.watch.keeping import (
    BASELINE_REPLIES,
    EVIDENCE_FILE,
    RELIABILITY_FILE,
    evidence_at,
    kept_books,
    replies_file,
)
from driftwatch.watch.opening import Opened, Settings, check_settings, new_run_id

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The place of a checkpoint in the run that made it.

    Attributes:
        folder: The run's folder.
        attempt: Number of the attempt that made the checkpoint; `None` for the latest attempt.
        look: The number that the next observation would have had; `None` after the latest observation.
        step: Optimizer steps done.
        is_elsewhere: Whether training goes on in another output folder than the run's, which makes it a branch.
    """

    folder: Path
    step: int
    attempt: int | None = None
    look: int | None = None
    is_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """What a training goes on from.

    Attributes:
        at: The place of the checkpoint in a run; `None` for a run that begins anew.
        is_branch: Whether a new run branches off there.
        identity: What measurements must share with those of that run; `None` for a run that begins anew.
        books: The time that the run has taken so far.
    """

    at: Checkpoint | None = None
    is_branch: bool = False
    identity: dict[str, str] | None = None
    books: Books = field(default_factory=Books)

    def give_up(self) -> None:
        """Release the run that could not go on here, so that another process can take it; on the first rank."""
        if self.at is not None and not self.is_branch and rank() == 0:
            RunStore(self.at.folder).release()


def origin_of(at: Checkpoint | None, *, with_replies: bool) -> Origin:
    """Decide whether training goes on as the same run, as a branch of it, or as a new run; on the first rank.

    Args:
        at: The place of the checkpoint; `None` if training begins.
        with_replies: Whether replies are drawn; a branch then needs their evidence.

    Raises:
        StoreError: There is no run.
    """
    if at is None:
        return Origin()
    life.settle()
    store = RunStore(at.folder)
    if not at.is_elsewhere and store.claim():
        try:
            return Origin(at, False, store.info().identity, kept_books(store))
        except BaseException:
            store.release()
            raise
    if not at.is_elsewhere:
        logger.warning(
            "another process writes the run in %s and lives; this training gets a run of its own, which branches off "
            "at step %d",
            at.folder,
            at.step,
        )
    if can_branch(at, with_replies=with_replies):
        return Origin(at, True, store.info().identity)
    logger.warning(
        "training goes on from step %d of the run in %s, which has not kept its evidence as of then; a new run begins "
        'here, whose baseline "start" is this step',
        at.step,
        at.folder,
    )
    return Origin()


def history(store: RunStore, at: Checkpoint) -> list[Record]:
    """The parent's observations that led to a checkpoint, oldest first."""
    last = at.attempt if at.attempt is not None else max((e.attempt for e in store.events()), default=0)
    resumed = [(e.attempt, e.step) for e in store.events() if e.kind == "begin" and e.attempt <= last]
    return [
        record
        for record in store.records(superseded=True)
        if record.attempt <= last
        and record.step <= at.step
        and (at.look is None or record.look < at.look)
        and not any(attempt > record.attempt and step < record.step for attempt, step in resumed)
    ]


def can_branch(at: Checkpoint, *, with_replies: bool) -> bool:
    """Whether the parent has kept its evidence as of the checkpoint; older versions kept the latest only."""
    store = RunStore(at.folder)
    return not with_replies or evidence_at(store, history(store, at)) is not None


def branched(at: Checkpoint, folder: Path, name: str | None, identity: dict[str, str], settings: Settings) -> Opened:
    """A new run that goes on from a checkpoint of another one.

    Args:
        at: The checkpoint.
        folder: The folder in which the new run's folder is made.
        name: Name of the new run; `None` takes the parent's.
        identity: Identity of what is asked now.
        settings: The settings that decide about the evidence; they must equal the parent's.

    Raises:
        ConfigError, BaselineError, StoreError: The settings or the way of asking differ, or the parent is incomplete.
    """
    parent = RunStore(at.folder)
    info = parent.info()
    check_settings(info, settings)
    baselines = resume_baselines(parent, identity, info.alerting_baseline)
    looks = history(parent, at)
    store = RunStore(free_folder(folder, name or info.run))
    attempt = 1 + max((record.attempt for record in looks), default=-1)
    origin = Parent(info.run, str(parent.folder), at.step)
    info = replace(info, run=store.folder.name, created=time.time(), run_id=new_run_id(), parent=origin)
    _copy(parent, store, looks)
    store.create(info)
    store.claim()
    text = f"goes on from run {origin.run} at step {at.step} ({origin.folder})"
    store.append_event("branch", attempt=attempt, step=at.step, text=text)
    return Opened(
        folder=store.folder,
        info=info,
        baselines=baselines,
        attempt=attempt,
        next_look=max((record.look for record in looks), default=-1) + 1,
        totals=looks[-1].cost if looks else Cost(),
        last=looks[-1] if looks else None,
    )


def _copy(parent: RunStore, store: RunStore, looks: list[Record]) -> None:
    """Copy all that the branch begins with, but not the description, which is written last: it makes a run visible."""
    for path in [*parent.folder.glob("baseline-*.json"), *(parent.folder / n for n in ("pack.json", RELIABILITY_FILE))]:
        if path.is_file():
            shutil.copyfile(path, store.folder / path.name)
    for line in parent.lines(BASELINE_REPLIES):
        store.append_line(BASELINE_REPLIES, msgspec.Raw(line))
    kept = {(record.look, record.attempt) for record in looks}
    for found in parent.look_stances():
        if (found.look, found.attempt) in kept:
            store.append_line("stances.jsonl", found)
    for record in looks:
        if (path := parent.folder / replies_file(record.look)).is_file():
            (store.folder / path.parent.name).mkdir(exist_ok=True)
            shutil.copyfile(path, store.folder / replies_file(record.look))
        ours = replace(record, run=store.folder.name, parent=record.parent or parent.folder.name, superseded=False)
        store.append(ours)
    if (saved := evidence_at(parent, looks)) is not None:
        store.write_json(EVIDENCE_FILE, saved)
