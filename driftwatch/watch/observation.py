"""One observation as a record: from the stances that were measured to everything that is reported of them."""

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
        stances: Of every item that was asked, uncalibrated.
        blocks: Blocks of the bank that were asked.
        tokens: Tokens that went through the model.
        is_whole: Whether all of the bank was asked, and every probe could ask it.
        failures: Probes that could not be asked; the rest goes on without them.
        kinds: The same, counted by kind.
        notes: For the reader of the record.
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
        look: Its number.
        step: Optimizer steps done.
        screened: What the screen found.
        confirmed: What the replies said; `None` where none were drawn.
        failures: Parts that could not be done, of the screen and of the replies.
        notes: For the reader of the record.
        weights: What was asked, where it is not the weights of `step`.
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
    """Compare an observation with the baselines and put everything that is reported of it into a record.

    Args:
        observation: What was measured.
        watch: Counts the time of its stages, this one's too.
        info: The run.
        baselines: What to compare with.
        attempt: Of the run.
        before: Evidence rows of the last observation that had any.
        fault_before: What the observation before found wrong with the model itself.
        validity: Of the last observation that drew replies: whether a probe says what they say.
        noise: What the judge differs from itself by; `None` where that was not measured yet.
        cost: Running totals; the observation's own seconds and tokens are filled in here, and a fault of the model is
            counted.
        rng: For intervals.
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
        # After a roll-back behind the fault that was told, this is another one.
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
    """Topics whose shift against the alerting baseline is so far above the noise floors that more replies are drawn."""
    against = info.alerting_baseline
    return [drift.topic for drift in record.drifts if drift.baseline == against and exceeds(drift, record.floors)]


def log_line(record: Record, info: RunInfo) -> str:
    """The one line of log of an observation."""
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
    """The drift of the value topic that moved most against the alerting baseline, for a line of log."""
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
    """Only what was asked now by the same probe: a probe that failed is a failure, not a drift without items."""
    asked = {stance.probe for stance in now}
    return [stance for stance in stances if stance.probe in asked]


def _without_news(rows: Sequence[TopicEvidence], before: Sequence[TopicEvidence]) -> tuple[TopicEvidence, ...]:
    """Rows of an observation that read no reply: one observation older than before."""
    known = {(row.topic, row.kind): row.looks_unread for row in before}
    return tuple(replace(row, looks_unread=known.get((row.topic, row.kind), 0) + 1) for row in rows)


def _shown(share: TopicStance, validity: Sequence[Validity]) -> TopicStance:
    """Without levels, and why, where the probe does not say what the replies say; its shifts are shown all the same."""
    for found in validity:
        if found.probe == share.probe and found.is_valid is False:
            return replace(share, probs=None, lower=None, upper=None, unscored=f"levels are hidden: {found.why}")
    return share


def _counting(cost: Cost, failure: str) -> Cost:
    totals = cost.failures_total
    return replace(cost, failures_total={**totals, failure: totals.get(failure, 0) + 1})
