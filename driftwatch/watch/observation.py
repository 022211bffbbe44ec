"""Observation: what one observation measured, and the record of everything that is reported about it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from driftwatch.drift.compare import Drift, compare
from driftwatch.drift.fault import MODEL, ModelFault, find_fault
from driftwatch.drift.floor import Floor, exceeds, placebo_floor
from driftwatch.drift.levels import whole_bank_levels
from driftwatch.drift.shares import TopicStance
from driftwatch.drift.validity import Validity
from driftwatch.evidence.alerts import fault_alert, new_alerts
from driftwatch.evidence.verdict import TopicEvidence
from driftwatch.record.record import Cost, Failure, Phase, Record, RunInfo
from driftwatch.stance import Stance
from driftwatch.watch.baselines import Baselines
from driftwatch.watch.confirm import Confirmed
from driftwatch.watch.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class Screened:
    """What the screen found.

    Attributes:
        stances: Stances of every item that was asked, uncalibrated.
        blocks: Number of blocks of the bank that were asked.
        tokens: Tokens that went through the model.
        is_whole: Whether the whole bank was asked, and every probe could ask it.
        failures: Probes that could not be asked; the observation goes on without them.
        kinds: Number of these failures, by kind.
        notes: Sentences for the reader of the record.
    """

    stances: tuple[Stance, ...] = ()
    blocks: int = 0
    tokens: int = 0
    is_whole: bool = False
    failures: tuple[Failure, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """What one observation measured.

    Attributes:
        look: The observation's number.
        step: Optimizer steps done.
        screened: What the screen found.
        confirmed: What the replies said; `None` if none were drawn.
        failures: Parts of the screen and of the replies that could not be done.
        notes: Sentences for the reader of the record.
        weights: Which weights were asked, in words, if not those of `step`.
    """

    look: int
    step: int
    phase: Phase
    screened: Screened = Screened()
    confirmed: Confirmed | None = None
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    weights: str = ""


def describe(
    observation: Observation,
    info: RunInfo,
    baselines: Baselines,
    *,
    watch: Stopwatch,
    attempt: int,
    cost: Cost,
    before: Sequence[TopicEvidence] = (),
    fault_before: ModelFault | None = None,
    validity: Sequence[Validity] = (),
    noise: Floor | None = None,
    rng: np.random.Generator,
) -> Record:
    """The record of an observation: compares it with the baselines, and holds everything that is reported about it.

    Args:
        observation: What was measured.
        watch: Counts the seconds of the observation's stages, including this one.
        info: The run's description.
        baselines: The baselines to compare with.
        attempt: The run's attempt number.
        before: Evidence rows of the last observation that had any.
        fault_before: What the previous observation found wrong with the model itself; `None` for nothing.
        validity: Whether each probe agrees with the replies, by the last observation that drew any.
        noise: How far the judge disagrees with itself; `None` if that was not measured yet.
        cost: Running totals. The observation's own seconds and tokens are filled in here, and a fault of the model is
            counted.
        rng: Random numbers for the intervals.
    """
    with watch("statistics"):
        now = baselines.calibrated(observation.screened.stances)
        drifts = [
            drift
            for name in baselines.known
            for drift in compare(_of_probes(baselines.stances(name), now), now, against=name, rng=rng)
        ]
        levels = whole_bank_levels(now, baselines.stances(baselines.alerting), rng)
        shares = [_shown(share, validity) for share in levels]
    controls = {topic.id for topic in info.topics if topic.control}
    alerting = [drift for drift in drifts if drift.baseline == baselines.alerting]
    probes = dict.fromkeys(drift.probe for drift in alerting)
    confirmed = observation.confirmed
    evidence = tuple(before) if confirmed is None else confirmed.evidence
    if confirmed is None or not confirmed.pairs:
        evidence = _without_news(evidence, before)
    poles = {topic.id: topic.poles for topic in info.topics if not topic.control}
    fault = find_fault(
        observation.step,
        stances=observation.screened.stances,
        drifts=alerting,
        failures=[failure.reason for failure in observation.failures],
        before=fault_before,
    )
    alerts = new_alerts(before, evidence, poles=poles, alpha=info.alpha)
    failures = observation.failures
    if fault is not None:
        failures = (*failures, Failure(MODEL, fault.text))
        evidence = tuple(replace(row, why=f"cannot tell: {fault.text}") for row in evidence)
        # If training was rolled back to before the reported fault, this is a new fault.
        is_told = fault_before is not None and fault_before.since_step == fault.since_step
        alerts = alerts if is_told else (fault_alert(fault), *alerts)
        cost = _counting(cost, f"{MODEL}/{fault.kind}")
    return Record(
        run=info.run,
        attempt=attempt,
        look=observation.look,
        step=observation.step,
        phase=observation.phase,
        timestamp=time.time(),
        stances=(*shares, *(confirmed.stances if confirmed else ())),
        drifts=(*drifts, *(confirmed.drifts if confirmed else ())),
        evidence=evidence,
        alerts=alerts,
        floors=(
            *baselines.floors,
            *(() if noise is None else (noise,)),
            *(placebo_floor(alerting, controls, probe) for probe in probes),
        ),
        agreement={found.probe: found.pearson for found in validity if found.pearson is not None},
        styles=() if confirmed is None else confirmed.styles,
        disagreement=None if confirmed is None else confirmed.disagreement,
        abstained=None if confirmed is None else confirmed.abstained,
        replies_left=None if confirmed is None or confirmed.replies_left is None else dict(confirmed.replies_left),
        failures=failures,
        cost=replace(cost, seconds=dict(watch.seconds), tokens_scored=observation.screened.tokens),
        weights=observation.weights,
        notes=observation.notes + ((confirmed.why,) if confirmed is not None and confirmed.why else ()),
        fault=fault,
    )


def watched(record: Record, info: RunInfo) -> list[str]:
    """Topics on which more replies are drawn, since their shift against the alerting baseline exceeds noise floors."""
    against = info.alerting_baseline
    return [drift.topic for drift in record.drifts if drift.baseline == against and exceeds(drift, record.floors)]


def log_line(record: Record, info: RunInfo) -> str:
    """The one log line of an observation."""
    most = widest(record, info)
    moved = None if most is None else most.total_variation
    figures = {
        "run": record.run,
        "step": record.step,
        "look": record.look,
        "topics": len(info.topics),
        "items": sum(stance.num_items for stance in record.stances),
        "max_total_variation": "none" if moved is None else f"{moved:.3f}",
        "topic": "none" if most is None else most.topic,
        "alerts": len(record.alerts),
        "seconds": f"{sum(record.cost.seconds.values()):.2f}",
    }
    return f"observed {' '.join(f'{name}={value}' for name, value in figures.items())}"


def widest(record: Record, info: RunInfo) -> Drift | None:
    """The drift of the value topic that moved most against the alerting baseline; `None` if no drift was measured."""
    controls = {topic.id for topic in info.topics if topic.control}
    moved = [
        drift
        for drift in record.drifts
        if drift.baseline == info.alerting_baseline
        and drift.topic not in controls
        and drift.total_variation is not None
    ]
    return max(moved, key=lambda drift: drift.total_variation or 0.0, default=None)


def _of_probes(stances: Sequence[Stance], now: Sequence[Stance]) -> list[Stance]:
    """The stances of probes that were also asked now: a failed probe is a failure, not a drift without items."""
    asked = {stance.probe for stance in now}
    return [stance for stance in stances if stance.probe in asked]


def _without_news(rows: Sequence[TopicEvidence], before: Sequence[TopicEvidence]) -> tuple[TopicEvidence, ...]:
    """The rows of an observation in which no reply was judged: they are one observation older than before."""
    known = {(row.topic, row.kind): row.looks_unread for row in before}
    return tuple(replace(row, looks_unread=known.get((row.topic, row.kind), 0) + 1) for row in rows)


def _shown(share: TopicStance, validity: Sequence[Validity]) -> TopicStance:
    """A topic's stance to show: its levels are hidden, with a reason, if the probe disagrees with the replies."""
    for found in validity:
        if found.probe == share.probe and found.is_valid is False:
            return replace(share, probs=None, lower=None, upper=None, unscored=f"levels are hidden: {found.why}")
    return share


def _counting(cost: Cost, failure: str) -> Cost:
    totals = cost.failures_total
    return replace(cost, failures_total={**totals, failure: totals.get(failure, 0) + 1})
