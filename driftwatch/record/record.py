"""Record: everything one observation found; and RunInfo: everything that stays the same during a run.

Both are frozen, versioned and stored as JSON. Nothing that reads them needs torch. Whoever changes what a field means,
or adds a field that readers cannot do without, raises SCHEMA, adds a migration to `_MIGRATIONS` and adds a golden file
to the tests.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import msgspec

from driftwatch.drift.abstained import Abstained
from driftwatch.drift.compare import BaselineName, Drift
from driftwatch.drift.disagreement import Disagreement
from driftwatch.drift.fault import ModelFault
from driftwatch.drift.floor import Floor
from driftwatch.drift.interval import Interval
from driftwatch.drift.shares import TopicStance
from driftwatch.drift.style import StylePair
from driftwatch.errors import NewerSchemaError, StoreError
from driftwatch.evidence.alerts import Alert
from driftwatch.evidence.verdict import TopicEvidence
from driftwatch.record.figures import without_second_figure

SCHEMA = 2


def _beyond_tolerance(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 called an alert beyond tolerance "material"."""
    for row in data.get("evidence", ()):
        if row.get("state") == "material":
            row["state"] = "beyond_tolerance"
    return {**data, "schema": 2}


# Each migration takes data of schema n to schema n + 1; they are applied in order.
_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _beyond_tolerance}

Stored = TypeVar("Stored")
Phase = Literal["start", "train", "end"]


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """What readers need to know about a topic if they do not have its pack.

    Attributes:
        control: Whether it is a control topic, without moral content.
        tolerance: Drift beyond which an alert on this topic is "beyond_tolerance", in [0, 1); `None` for a control, and
            in older runs.
    """

    id: str
    title: str
    poles: tuple[str, str]
    control: bool
    num_items: int
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """The run from which another one has branched off.

    Attributes:
        run: Name of the parent run.
        folder: Folder of the parent run at that time.
        step: Optimizer step of the checkpoint from which training went on.
    """

    run: str
    folder: str
    step: int


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The attributes of a run.

    Attributes:
        run: Name of the run, unique in its parent folder; the one label that every metric carries.
        created: Unix time in seconds at which the run was created.
        model: Name or path of the model.
        topics: Topics of the pack, in its order.
        version: Version of driftwatch.
        trainer: Class of the trainer, or "loop"; `None` if unknown.
        baselines: Names of the baselines with which this run compares.
        alerting_baseline: Name of the baseline on which alerts rest.
        identity: What two measurements must share to be comparable, by part.
        alpha: Requested probability of any false alert in the run, in (0, 1).
        unresolved: Why the model has no resolution on a topic, by topic; these topics are left out of alerts.
        replies_drawn: Whether replies are sampled and judged, on which verdicts rest. False in older runs, where only
            the evidence in the records shows it.
        replies_refused: Why no replies are drawn although they were asked for, as a clause; `None` otherwise.
        run_id: Identifier that no other run shares, whatever its name; empty in older runs.
        seed: Seed of everything that the run draws; `None` in older runs.
        notes: Sentences that a reader should know, for example that the model has no chat template.
        parent: The run from whose checkpoint this run went on, in a folder of its own; `None` for a run that began
            anew.
    """

    run: str
    created: float
    model: str
    pack: str
    pack_version: str
    pack_digest: str
    topics: tuple[TopicInfo, ...]
    version: str
    trainer: str | None = None
    baselines: tuple[BaselineName, ...] = ("start",)
    alerting_baseline: BaselineName = "start"
    identity: dict[str, str] = field(default_factory=dict)
    alpha: float = 0.01
    num_processes: int = 1
    unresolved: dict[str, str] = field(default_factory=dict)
    replies_drawn: bool = False
    replies_refused: str | None = None
    notes: tuple[str, ...] = ()
    run_id: str = ""
    seed: int | None = None
    parent: Parent | None = None
    schema: int = SCHEMA

    def topic(self, topic_id: str) -> TopicInfo:
        """The topic with this id; `KeyError` if there is none."""
        for topic in self.topics:
            if topic.id == topic_id:
                return topic
        raise KeyError(topic_id)


@dataclass(frozen=True, slots=True)
class Failure:
    """A part of an observation that failed, and why."""

    probe: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What watching has cost.

    Attributes:
        seconds: Seconds by stage of this observation: screen, replies, engine, statistics.
        overhead_ratio: Time in driftwatch over wall time since training began, in [0, 1]; `None` before the first step.
        tokens_scored: Number of tokens that the screen computed at this observation.
        observations_total: Number of observations of the run so far; like the other totals it survives a resume.
        failures_total: Number of failures of the run so far, by "probe/reason".
        export_failures_total: Number of records that an exporter could not deliver so far, by exporter.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    overhead_ratio: float | None = None
    tokens_scored: int = 0
    observations_total: int = 0
    failures_total: dict[str, int] = field(default_factory=dict)
    export_failures_total: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that one observation found.

    Attributes:
        attempt: The run's attempt number: 0 for the first start, one more for every resume.
        look: Number of the observation in the run, from 0; never used twice, whatever a resume repeats.
        step: Optimizer steps done when the model was asked.
        phase: "start" before the first update, "train" during training, "end" after the last update.
        timestamp: Unix time in seconds at which the observation ended.
        floors: The noise floors: numeric ones, the judge's own once it is known, and those of the control topics at
            this observation.
        agreement: Correlation over items of the screen with judged replies, by probe; a probe is absent where it was
            not measured.
        styles: Response style of the replies judged at this observation, by topic, beside that of the baseline's
            replies to the same draws; empty where no reply was judged.
        disagreement: How far a panel's judges differ on the replies of both sides at this observation; `None` where no
            panel judged any.
        abstained: How many of the replies judged at this observation stayed unclassified, by side and kind of reason;
            `None` where no reply was judged, and in records of older versions.
        replies_left: Number of baseline replies that were decoded ahead and are not used yet, by topic; `None` if the
            baseline model is asked on demand, or no replies were drawn.
        fault: The fault of a model whose numbers are not finite or beyond all measure; `None` for a working model, and
            in older records.
        superseded: Whether a resume from an earlier checkpoint repeated this stretch of training; the reader sets it.
        weights: Which weights were asked, if not those of `step`: those that training put back at its end, such as
            "the best checkpoint, checkpoint-4"; empty otherwise, and in older runs.
        parent: Name of the run that made this observation, if this run has branched off from it later; empty for an
            observation of its own.
    """

    run: str
    attempt: int
    look: int
    step: int
    phase: Phase
    timestamp: float
    stances: tuple[TopicStance, ...] = ()
    drifts: tuple[Drift, ...] = ()
    evidence: tuple[TopicEvidence, ...] = ()
    alerts: tuple[Alert, ...] = ()
    floors: tuple[Floor, ...] = ()
    agreement: dict[str, float] = field(default_factory=dict)
    styles: tuple[StylePair, ...] = ()
    disagreement: Disagreement | None = None
    abstained: Abstained | None = None
    replies_left: dict[str, int] | None = None
    failures: tuple[Failure, ...] = ()
    cost: Cost = field(default_factory=Cost)
    notes: tuple[str, ...] = ()
    fault: ModelFault | None = None
    superseded: bool = False
    weights: str = ""
    parent: str = ""
    schema: int = SCHEMA

    @property
    def found_anything(self) -> bool:
        """Whether the observation found something and did not fail: a figure, evidence, or a fault of the model."""
        return bool(self.stances or self.drifts or self.evidence or self.fault)

    def drift(self, topic: str, probe: str, baseline: BaselineName) -> Drift | None:
        """The drift of one topic by one probe against one baseline, or `None` if it was not measured."""
        for drift in self.drifts:
            if (drift.topic, drift.probe, drift.baseline) == (topic, probe, baseline):
                return drift
        return None

    def stance(self, topic: str, probe: str) -> TopicStance | None:
        """The stance shares of one topic by one probe, or `None` if it was not asked."""
        for stance in self.stances:
            if (stance.topic, stance.probe) == (topic, probe):
                return stance
        return None


def to_json(value: Any) -> bytes:
    """One line of JSON, without the line end; figures that are not finite become null."""
    return msgspec.json.encode(value)


def record_from_json(line: bytes | str) -> Record:
    """A record of this or any older schema.

    Raises:
        StoreError: The line is no record, or a newer driftwatch wrote it.
    """
    record = _decode(line, Record, "record")
    return replace(record, drifts=tuple(map(without_second_figure, record.drifts)))


def run_info_from_json(text: bytes | str) -> RunInfo:
    """The attributes of a run, of this or any older schema.

    Raises:
        StoreError: The text has no run's attributes, or a newer driftwatch wrote it.
    """
    return _decode(text, RunInfo, "run description")


def _decode(text: bytes | str, kind: type[Stored], name: str) -> Stored:
    try:
        data = msgspec.json.decode(text)
        found = data.get("schema") if isinstance(data, dict) else None
        if not isinstance(found, int):
            raise StoreError(f"expected a {name} with a schema number; found {text[:60]!r}.")
        if found > SCHEMA:
            raise NewerSchemaError(
                f"this {name} has schema {found}, and this driftwatch reads up to {SCHEMA}. "
                "Install the version that wrote it, or a newer one."
            )
        for step in range(found, SCHEMA):
            data = _MIGRATIONS[step](data)
        return msgspec.convert(data, kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as err:
        raise StoreError(f"expected a {name}; found {text[:60]!r} ({err}).") from err


__all__ = [
    "SCHEMA",
    "Alert",
    "BaselineName",
    "Cost",
    "Disagreement",
    "Drift",
    "Failure",
    "Floor",
    "Interval",
    "ModelFault",
    "Parent",
    "Phase",
    "Record",
    "RunInfo",
    "StylePair",
    "TopicEvidence",
    "TopicInfo",
    "TopicStance",
    "record_from_json",
    "run_info_from_json",
    "to_json",
]
