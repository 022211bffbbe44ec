"""Opening: makes or reopens a run's folder, for a new run or a new attempt; on the first rank."""

import hashlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from driftwatch import __version__
from driftwatch.drift.reliability import reliability_of
from driftwatch.errors import ConfigError
from driftwatch.host.ranks import num_ranks
from driftwatch.record.record import Cost, Record, RunInfo, TopicInfo
from driftwatch.store.folder import free_folder
from driftwatch.store.run_store import RunStore
from driftwatch.topics import TopicPack
from driftwatch.watch.baselines import Baselines, resume_baselines
from driftwatch.watch.keeping import RELIABILITY_FILE


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that has begun.

    Attributes:
        folder: The run's folder; only the first rank reads and writes there.
        attempt: The run's attempt number: 0 for a new run, one more for every resume.
        next_look: Number of the observation that comes next.
        totals: Running totals so far.
        last: The latest record; `None` in a new run.
    """

    folder: Path
    info: RunInfo
    baselines: Baselines
    attempt: int = 0
    next_look: int = 0
    totals: Cost = field(default_factory=Cost)
    last: Record | None = None


def new_run_id() -> str:
    """An id that no other run has, from the operating system's random numbers; training's generators are untouched."""
    return uuid.uuid4().hex


def seed_of(run_id: str) -> int:
    """The seed of a run that was given none, in [0, 2⁶³); it makes trainings of one model draw different questions.

    With one seed for all, nearly half of a training's false alarms would come again when somebody repeats the training
    to see whether they were chance.
    """
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that decide about the evidence and therefore stay the same for the life of a run.

    Attributes:
        alpha: Requested probability of any false alert.
        tolerance: By topic, the drift beyond which an alert is "beyond_tolerance".
        seed: Seed of everything that is drawn; `None` if the user gave none.
    """

    alpha: float
    tolerance: Mapping[str, float]
    seed: int | None = None


def check_settings(info: RunInfo, settings: Settings) -> None:
    """Refuse to go on with a run under other settings than it began with.

    Raises:
        ConfigError: A setting differs; the message says what to pass.
    """
    theirs = {topic.id: topic.tolerance for topic in info.topics if topic.tolerance is not None}
    differing = [name for name, value in theirs.items() if settings.tolerance.get(name, value) != value]
    why = None
    if settings.alpha != info.alpha:
        why = f"alpha={info.alpha:g}", f"alpha={settings.alpha:g}"
    elif differing:
        name = differing[0]
        why = f"a tolerance of {theirs[name]:g} for {name}", f"one of {settings.tolerance[name]:g}"
    elif info.seed is not None and settings.seed is not None and settings.seed != info.seed:
        why = f"seed={info.seed}", f"seed={settings.seed}"
    if why is not None:
        raise ConfigError(
            f"expected the settings with which run {info.run} began, {why[0]}; found {why[1]}. A run promises its rate "
            "of false alerts for what was fixed before it began. Pass what it began with; or watch with other settings "
            "in a new run, which begins where training begins without resume_from_checkpoint."
        )


def opened(
    folder: Path,
    name: str | None,
    *,
    pack: TopicPack,
    baselines: Baselines,
    identity: Mapping[str, str],
    model_name: str,
    trainer: str | None,
    settings: Settings,
    replies_drawn: bool,
    replies_refused: str | None,
    run_id: str,
    seed: int,
) -> Opened:
    """A new run, whose folder holds the baselines that every observation will be compared with.

    Args:
        folder: The folder in which the run's folder is made.
        name: Name of the run; `None` makes one from the time.
        pack: The topic pack that is asked.
        baselines: The baselines that observations are compared with.
        identity: What two measurements must share to be comparable.
        model_name: The model's name for people to read.
        trainer: Class name of the trainer; `None` if unknown.
        settings: The settings that decide about the evidence.
        replies_drawn: Whether replies are sampled and judged.
        replies_refused: Why no replies are drawn although they were asked for; `None` otherwise.
        run_id: The result of `new_run_id`.
        seed: Seed of everything that the run draws.
    """
    store = RunStore(free_folder(folder, name or time.strftime("run-%Y%m%d-%H%M%S")))
    resolution = reliability_of(baselines.stances("start"), pack.topics)
    info = RunInfo(
        run=store.folder.name,
        created=time.time(),
        model=model_name,
        pack=pack.id,
        pack_version=pack.version,
        pack_digest=pack.digest,
        topics=tuple(
            TopicInfo(t.id, t.title, t.poles, t.control, len(t.items), None if t.control else settings.tolerance[t.id])
            for t in pack
        ),
        version=__version__,
        trainer=trainer,
        baselines=tuple(baselines.known),
        alerting_baseline=baselines.alerting,
        identity=dict(identity),
        alpha=settings.alpha,
        num_processes=num_ranks(),
        unresolved={row.topic: row.unresolved for row in resolution if row.unresolved is not None},
        replies_drawn=replies_drawn,
        replies_refused=replies_refused,
        notes=baselines.notes,
        run_id=run_id,
        seed=seed,
    )
    store.create(info)
    store.claim()
    store.write_pack(pack)
    store.write_json(RELIABILITY_FILE, resolution)
    for baseline in baselines.known.values():
        store.write_baseline(baseline)
    return Opened(store.folder, info, baselines)


def reopened(folder: str | Path, identity: dict[str, str], settings: Settings | None = None) -> Opened:
    """A run that goes on under a new attempt number.

    Args:
        folder: The run's folder.
        identity: Identity of what is asked now.
        settings: The settings that decide about the evidence now; `None` takes those that the run began with.

    Raises:
        StoreError, BaselineError, ConfigError: There is no run, it is incomplete, or it would ask something else.
    """
    store = RunStore(folder)
    info = store.info()
    if settings is not None:
        check_settings(info, settings)
    baselines = resume_baselines(store, identity, info.alerting_baseline)
    records = store.records(superseded=True)
    begins = [event.attempt for event in store.events() if event.kind == "begin"]
    return Opened(
        folder=store.folder,
        info=info,
        baselines=baselines,
        attempt=max(begins, default=-1) + 1,
        next_look=max((record.look for record in records), default=-1) + 1,
        totals=records[-1].cost if records else Cost(),
        last=records[-1] if records else None,
    )
