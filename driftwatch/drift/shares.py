"""Stance shares of a topic at one observation: the mean over its items, with an interval over items."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from driftwatch.drift.interval import cluster_bootstrap
from driftwatch.stance import Probs, Stance


@dataclass(frozen=True, slots=True)
class TopicStance:
    """Stance shares of one topic at one observation, by one probe: means over its items.

    Attributes:
        probs: Shares of support, neutral and oppose; `None` where there are none, with the reason in `unscored`.
        lower: Lower ends of the shares' 95 % intervals (cluster bootstrap by item); `None` with too few items.
        upper: Upper ends of the same intervals.
        log_odds: Mean log-odds of the screen, nats per token, positive toward `poles[0]`; `None` for other probes.
        naysaying: Mean over the items that have this figure, in [0, 1]; `None` where no item has it.
        refusal: Mean share of refusals, like `naysaying`.
        unread: Mean share of unclassified replies, like `naysaying`.
        coverage: Mean share of the measurements that succeeded, like `naysaying`.
        num_items: Number of items asked.
        num_unscored: Number of these items without a figure.
        num_missing: Number of items of the bank that this observation did not ask; the shares are adjusted for them
            (`levels`).
    """

    topic: str
    probe: str
    probs: Probs | None
    lower: Probs | None
    upper: Probs | None
    log_odds: float | None
    naysaying: float | None
    refusal: float | None
    unread: float | None
    coverage: float | None
    num_items: int
    num_unscored: int
    unscored: str | None = None
    num_missing: int = 0


def topic_stances(stances: Sequence[Stance], rng: np.random.Generator) -> list[TopicStance]:
    """The shares of each topic and probe, in the order in which they first appear.

    Args:
        stances: Stances of one observation; those of the screen are calibrated.
        rng: Draws the resamples of the intervals.
    """
    groups: dict[tuple[str, str], list[Stance]] = {}
    for stance in stances:
        groups.setdefault((stance.topic, stance.probe), []).append(stance)
    return [_topic_stance(topic, probe, group, rng) for (topic, probe), group in groups.items()]


def _topic_stance(topic: str, probe: str, group: Sequence[Stance], rng: np.random.Generator) -> TopicStance:
    probs = np.array([s.probs for s in group if s.probs is not None], float)
    reasons = [s.unscored for s in group if s.unscored is not None]
    ends = cluster_bootstrap(probs, rng, limits=(0, 1)) if len(probs) else [None]
    bounds = [end for end in ends if end is not None]
    whole = len(bounds) == len(Probs._fields)
    return TopicStance(
        topic=topic,
        probe=probe,
        probs=Probs(*probs.mean(0).tolist()) if len(probs) else None,
        lower=Probs(*(end.lower for end in bounds)) if whole else None,
        upper=Probs(*(end.upper for end in bounds)) if whole else None,
        log_odds=_mean(s.log_odds for s in group),
        naysaying=_mean(s.naysaying for s in group),
        refusal=_mean(s.refusal for s in group),
        unread=_mean(s.unread for s in group),
        coverage=_mean(s.coverage for s in group),
        num_items=len(group),
        num_unscored=sum(s.unscored is not None for s in group),
        unscored=None if len(probs) else (reasons[0] if reasons else "nothing was measured"),
    )


def _mean(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else None
