"""Two runs side by side: how far each moved from its own baseline, and how far apart they ended, item by item."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from driftwatch.drift.calibration import Calibration, calibrated
from driftwatch.drift.compare import Drift, compare
from driftwatch.errors import StoreError
from driftwatch.evidence.rows import CONFIRM
from driftwatch.record.figures import NetShift, net_shifts
from driftwatch.record.record import Record, RunInfo, TopicInfo
from driftwatch.report.movers import last_look
from driftwatch.stance import Stance
from driftwatch.store.run_store import RunStore
from driftwatch.wording import NO_FIGURE, interval, percent_interval, signed, signed_percent


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One topic and probe of two runs; `None` where a run has no such figure.

    Attributes:
        first: Drift of the first run from its alerting baseline, at its last observation.
        second: The same for the second run.
        between: Drift of the second run's last observation against the first run's, paired by item.
        net_shifts: Net shifts of the judged replies of the first run and of the second, each with its interval.
    """

    topic: TopicInfo
    probe: str
    first: Drift | None
    second: Drift | None
    between: Drift | None
    net_shifts: tuple[NetShift | None, NetShift | None] = (None, None)

    @property
    def figures(self) -> tuple[str, str, str]:
        """`first`, `second` and `between` as text: net shifts for judged replies, score shifts for the screen."""
        if self.probe == CONFIRM:
            first, second = (_shown(shift, signed_percent, percent_interval) for shift in self.net_shifts)
            return first, second, NO_FIGURE
        found = (self.first, self.second, self.between)
        first, second, between = (
            _shown(None if d is None or d.score_shift is None else (d.score_shift, d.interval), signed, interval)
            for d in found
        )
        return first, second, between


def _shown(shift: NetShift | None, figure: Callable[[float], str], ends: Callable[[float, float], str]) -> str:
    if shift is None:
        return NO_FIGURE
    value, bounds = shift
    return figure(value) if bounds is None else f"{figure(value)} {ends(bounds.lower, bounds.upper)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare_runs` found about two runs.

    Attributes:
        differing: Parts of the identity in which the runs differ, with both values. They explain a difference between
            the runs and do not forbid the comparison.
    """

    first: RunInfo
    second: RunInfo
    first_step: int
    second_step: int
    rows: tuple[SideBySide, ...]
    differing: dict[str, tuple[str, str]]

    @property
    def ends(self) -> tuple[tuple[RunInfo, int], tuple[RunInfo, int]]:
        """Each run with the step of its last observation."""
        return (self.first, self.first_step), (self.second, self.second_step)


def compare_runs(first: RunStore, second: RunStore) -> Comparison:
    """Put two runs side by side; the caller has to check whether they may be compared.

    Args:
        first: The run that counts as the earlier, or better known, one.
        second: The other run.

    Raises:
        StoreError: A run cannot be read, or has measured nothing yet.
    """
    infos = (first.info(), second.info())
    lasts = tuple(_last(store) for store in (first, second))
    calibration = _calibration(first, infos[0])
    stances = [_stances(store, calibration) for store in (first, second)]
    rng = np.random.default_rng(0)  # so that the same runs always give the same comparison
    between = {(d.topic, d.probe): d for d in compare(*stances, against="start", rng=rng)} if all(stances) else {}
    drifts = [_drifts(last, info) for last, info in zip(lasts, infos, strict=True)]
    nets = [net_shifts(last.evidence) for last in lasts]
    rows = [
        SideBySide(
            topic,
            probe,
            drifts[0].get(key),
            drifts[1].get(key),
            between.get(key),
            (nets[0].get(topic.id), nets[1].get(topic.id)) if probe == CONFIRM else (None, None),
        )
        for topic in infos[0].topics
        for probe in dict.fromkeys(probe for known in (*drifts, between) for name, probe in known if name == topic.id)
        for key in [(topic.id, probe)]
    ]
    identities = [info.identity for info in infos]
    differing = {
        part: (identities[0].get(part, "none"), identities[1].get(part, "none"))
        for part in sorted({*identities[0], *identities[1]})
        if identities[0].get(part) != identities[1].get(part)
    }
    return Comparison(infos[0], infos[1], lasts[0].step, lasts[1].step, tuple(rows), differing)


def _last(store: RunStore) -> Record:
    measured = [record for record in store.records() if record.drifts]
    if not measured:
        raise StoreError(f"run {store.folder.name} has measured nothing yet, so there is nothing to compare.")
    return measured[-1]


def _drifts(last: Record, info: RunInfo) -> dict[tuple[str, str], Drift]:
    return {(d.topic, d.probe): d for d in last.drifts if d.baseline == info.alerting_baseline}


def _calibration(store: RunStore, info: RunInfo) -> Calibration | None:
    baseline = store.baseline(info.alerting_baseline)
    stored = baseline.calibration if baseline is not None else None
    return msgspec.convert(stored, Calibration) if stored else None


def _stances(store: RunStore, calibration: Calibration | None) -> Sequence[Stance]:
    look = last_look(store)
    if look is None:
        return []
    return calibrated(look.stances, calibration) if calibration else look.stances
