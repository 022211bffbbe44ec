"""Summary: everything that a report says about one run, gathered from its folder."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from driftwatch.drift.calibration import Calibration, calibrated
from driftwatch.drift.duration import DriftTime, drift_time
from driftwatch.record.decision import all_figures, detectable
from driftwatch.record.figures import TopicFigures
from driftwatch.record.record import Drift, Record, RunInfo, TopicEvidence, TopicInfo
from driftwatch.report.advice import Advice, advice
from driftwatch.report.figures import Choice, Figure, choose, figures
from driftwatch.report.movers import Movers, moved_most
from driftwatch.report.replies import Manners, manners, readers
from driftwatch.report.series import Series
from driftwatch.report.verdict import Verdict, verdict
from driftwatch.stance import STANCES
from driftwatch.store.run_store import RunStore
from driftwatch.wording import RunState

MAX_LOOKS = 400  # observations on a curve; longer runs are thinned evenly
CURVE_LOOKS = 200  # observations behind a drift time, which is exact to half a percent of the phase


@dataclass(frozen=True, slots=True)
class StanceRow:
    """One row of the paper's table: a topic and a stance.

    Attributes:
        magnitude: The paper's M, the change of the stance's share; `None` where not measured.
        lower, upper: Ends of its 95 % interval; `None` where there is none.
        time: Drift time; its `why` says why there is none.
    """

    topic: TopicInfo
    stance: str
    magnitude: float | None
    lower: float | None
    upper: float | None
    time: DriftTime


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that a report says about one run.

    Attributes:
        table: Rows of M and drift time by topic and stance.
        drifts: All drifts of the last observation against the alerting baseline.
        evidence: Rows of the last observation, the strongest first.
        topics: The net shift of each topic, with the figures that belong to it.
        detectable: Smallest and largest, over the topics, of the smallest net shifts that could have been found; `None`
            where they are unknown, and where most replies could not be classified.
        style: What has clearly changed in the response style.
        readers: Sentences on how far the judges of the replies can be believed.
        choice: The probe and baseline that pictures and table show; `None` before an observation.
    """

    info: RunInfo
    state: RunState
    verdict: Verdict
    looks: int
    last: Record | None
    choice: Choice | None
    table: tuple[StanceRow, ...]
    drifts: tuple[Drift, ...]
    evidence: tuple[TopicEvidence, ...]
    topics: tuple[TopicFigures, ...]
    detectable: tuple[float, float] | None
    movers: Movers
    manners: Manners
    readers: tuple[str, ...]
    figures: tuple[Figure, ...]
    advice: tuple[Advice, ...]


def summarise(store: RunStore) -> Summary:
    """Read a run and gather everything that a report says about it.

    Args:
        store: The run.

    Raises:
        StoreError: There is no run, or it cannot be read.
    """
    info, records = store.info(), store.records()
    measured = [record for record in records if record.found_anything]
    last = measured[-1] if measured else None
    said = verdict(info, last)
    series = Series(_thinned(measured, MAX_LOOKS))
    choice = choose(info, series) if measured else None
    known = detectable(last) if last else []
    return Summary(
        info=info,
        state=store.state(),
        verdict=said,
        looks=len(records),
        last=last,
        choice=choice,
        table=_table(store, info, measured, choice),
        drifts=tuple(d for d in last.drifts if d.baseline == info.alerting_baseline) if last else (),
        evidence=tuple(sorted(last.evidence, key=lambda row: -row.log10_evidence)) if last else (),
        topics=all_figures(info, last) if last else (),
        detectable=(min(known), max(known)) if known else None,
        movers=moved_most(store, info),
        manners=manners(info, measured),
        readers=readers(measured),
        figures=tuple(figures(info, series, last)),
        advice=tuple(advice(info, last, said)),
    )


def _table(store: RunStore, info: RunInfo, records: Sequence[Record], choice: Choice | None) -> tuple[StanceRow, ...]:
    if not records or choice is None or choice.drift is None:
        return ()
    last = records[-1]
    alerted = {row.topic for row in last.evidence if row.in_alert}
    curves = _Curves(store, info, records) if alerted else None
    rows = []
    for topic in info.topics:
        drift = next((d for d in last.drifts if (d.topic, d.probe, d.baseline) == _key(topic, choice)), None)
        for number, stance in enumerate(STANCES):
            ends = drift.magnitude_interval[number] if drift and drift.magnitude_interval else None
            no_curve = DriftTime(why="no alert: without a drift there is no drift time")
            rows.append(
                StanceRow(
                    topic=topic,
                    stance=stance,
                    magnitude=drift.magnitude[number] if drift and drift.magnitude else None,
                    lower=ends.lower if ends else None,
                    upper=ends.upper if ends else None,
                    time=curves.time(topic.id, number) if curves and topic.id in alerted else no_curve,
                )
            )
    return tuple(rows)


def _key(topic: TopicInfo, choice: Choice) -> tuple[str, str | None, str]:
    return topic.id, choice.drift, choice.baseline


class _Curves:
    """The screen's share of each stance, by item and observation, as a change since the alerting baseline."""

    def __init__(self, store: RunStore, info: RunInfo, records: Sequence[Record]) -> None:
        self._values: dict[tuple[str, int], list[tuple[int, str, float]]] = {}
        self._steps: list[int] = []
        # A phase begins at its first observation, which is taken before its first update; without that observation its
        # beginning is unknown.
        self._begin = records[0].step if records[0].phase == "start" else None
        baseline = store.baseline(info.alerting_baseline)
        if baseline is None:
            return
        calibration = msgspec.convert(baseline.calibration, Calibration) if baseline.calibration else None
        shown = calibrated(baseline.stances, calibration) if calibration else list(baseline.stances)
        before = {(stance.probe, stance.item): stance.probs for stance in shown}
        wanted = {(record.attempt, record.look) for record in _thinned(records, CURVE_LOOKS)}
        for look in store.look_stances():
            if (look.attempt, look.look) not in wanted:
                continue
            position = len(self._steps)
            self._steps.append(look.step)
            for stance in calibrated(look.stances, calibration) if calibration else look.stances:
                base = before.get((stance.probe, stance.item))
                if stance.probs is None or base is None:
                    continue
                for number in range(len(STANCES)):
                    change = stance.probs[number] - base[number]
                    self._values.setdefault((stance.topic, number), []).append((position, stance.item, change))

    def time(self, topic: str, stance: int) -> DriftTime:
        """The drift time of one topic and stance."""
        found = self._values.get((topic, stance), [])
        if not found or not self._steps:
            return DriftTime(why="the items' stances of this topic were not kept")
        looks, items, values = zip(*found, strict=True)
        rng = np.random.default_rng(0)  # so that the same run always gives the same report
        return drift_time(self._steps, looks, items, values, rng, has_alert=True, begin=self._begin)


def _thinned(records: Sequence[Record], most: int) -> list[Record]:
    if len(records) <= most:
        return list(records)
    picked = np.unique(np.linspace(0, len(records) - 1, most).round().astype(int))
    return [records[i] for i in picked]
