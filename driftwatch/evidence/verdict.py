"""Verdict: what each alert is about, and how many draws each topic gets next.

An alert says that something moved, and its label says what kind of thing. Labels are decided look by look by evidence
of their own, at 20 : 1, and held until another label has clearly more evidence (`labels`). The alert itself stays.

Shape letters as in `evidence`: … batch, T topics (V values, C controls), K kinds.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.interval import Interval
from driftwatch.evidence.labels import GENERAL, LABEL_EVIDENCE, NO_LABEL, SPECIFIC, UNREADABLE, UNSETTLED
from driftwatch.evidence.power import NORMAL_DRAWS, WATCHED_DRAWS
from driftwatch.evidence.state import Evidence
from driftwatch.wording import Label, TopicState

LOG_LABEL = math.log(LABEL_EVIDENCE)
EvidenceKind = Literal["direction", "neutral", "readability"]

POOLED = "all"  # stands in place of a topic's id, for the readability of all topics


@dataclass(frozen=True, slots=True)
class TopicEvidence:
    """The evidence on one topic and kind after a look.

    Logarithms are to base 10. Shifts are means of draws. For direction this is half of the score shift, so 0.1 means
    that a tenth of the replies changed sides; for neutral and readability it is the change of their share. Recent means
    the last five looks.

    Attributes:
        topic: Id of the topic; "all" for the readability of all topics together.
        kind: What moves: the direction, the share of neutral replies, or the share of replies that take a stance.
        log10_e_value: Evidence that what can be read differs.
        log10_value_e_value: Evidence that it differs even if every stance lost, or gained, would explain the difference
            away; `None` for readability.
        log10_material_e_value: The smaller of the two, for a drift beyond the tolerance of this topic; `None` for
            readability.
        log10_threshold: Evidence that an alert needs now.
        log10_apart: Evidence that this topic moved more than the control that moved most alike; `None` without
            controls.
        estimate: Recent mean of the draws, which says whether an alert still holds; `None` without recent draws.
        interval: Interval of `estimate` over the bank. It is part of a confidence sequence that holds at all looks of
            the run and for all its rows at once (`sequence`); `None` with fewer than eight recent draws.
        pointwise: Interval of `estimate` over items, for this look alone as if it had been chosen beforehand: in a
            quiet run about one in twenty of these excludes 0. `None` with fewer than five items.
        since_onset: Mean of the draws since the onset, biased away from 0 by the choice of the onset. For an alert it
            is kept as it was at the look at which the evidence stood highest.
        bound: What is left of |`estimate`|, whatever the replies without a stance would have said; at least 0. `None`
            for readability, and without recent draws.
        num_draws: Number of draws in the whole run.
        state: The topic's state. Alerts are never cleared within a run: they state that the model moved, which stays
            true. "ended" means that no alert came and none can come any more, since the baseline's replies to this
            topic are used up; see `why`.
        label: What an alert is about; `None` before an alert.
        moved_most: For "unreadable", which kind of replies without a stance changed most; otherwise `None`.
        onset_look: Look, from 1, since which the topic has been moving; `None` before an alert.
        onset_step: Optimizer step of `onset_look`; `None` before an alert, and where a roll-back took that stretch of
            training back.
        minimum_detectable: The smallest step at the first look, toward either pole, that so many draws would have found
            nine times out of ten; `None` after an alert, or where nothing would have been found. It certifies nothing.
        refusal_shift: Change of the share of refusals over the recent draws.
        off_topic_shift: Change of the share of off-topic replies over the recent draws.
        unread_shift: Change of the share of unclassified replies over the recent draws.
        why: What limits this figure; `None` where nothing does.
        sign: Sign whose evidence raised the alert, +1 or −1, frozen from then on; `estimate` says whether it still
            holds. `None` before an alert, and in older records.
        without_stance_now: Share of the model's recent replies that take no stance (refusals, off-topic replies and
            unclassified ones), in [0, 1]; over all draws where the last looks had none. `None` without draws, and in
            older records.
        without_stance_baseline: The same share for the baseline's replies.
        looks_in_alert: Number of looks since the alert was raised, 0 at that look; `None` before it, and in older
            records.
        looks_unread: Number of looks in a row, up to this one, at which no reply at all was classified: the judge or
            the sampler failed, or the evidence is frozen. 0 in older records.
    """

    topic: str
    kind: EvidenceKind
    log10_e_value: float
    log10_value_e_value: float | None
    log10_material_e_value: float | None
    log10_threshold: float
    log10_apart: float | None
    estimate: float | None
    interval: Interval | None
    since_onset: float | None
    bound: float | None
    num_draws: int
    state: TopicState
    label: Label | None
    moved_most: str | None
    onset_look: int | None
    onset_step: int | None
    minimum_detectable: float | None
    refusal_shift: float | None
    off_topic_shift: float | None
    unread_shift: float | None
    why: str | None = None
    sign: int | None = None
    without_stance_now: float | None = None
    without_stance_baseline: float | None = None
    looks_in_alert: int | None = None
    pointwise: Interval | None = None
    looks_unread: int = 0

    @property
    def in_alert(self) -> bool:
        """Whether the row is in alert, of whatever size."""
        return self.state in ("alert", "beyond_tolerance")

    @property
    def toward(self) -> int | None:
        """The way of an alert, +1 or −1; for a record without `sign`, the way of the draws since its onset."""
        if self.sign is not None:
            return self.sign
        shift = self.since_onset or self.estimate
        return None if not self.in_alert or not shift else 1 if shift > 0 else -1

    @property
    def net_shift(self) -> float | None:
        """The figure of a verdict: share of the recent replies that changed sides, in [−1, 1], toward `poles[0]`.

        It is `None` for the other kinds, whose `estimate` is the change of a share, and without recent draws.
        """
        return self.estimate if self.kind == "direction" else None

    @property
    def log10_evidence(self) -> float:
        """The evidence on which an alert with this label rests, as a base 10 logarithm; people are shown this one.

        It is the evidence that the value moved, even if every stance lost, or gained, would explain the move away. For
        readability and the labels "unreadable" and "unsettled" it is the evidence that anything moved, since such an
        alert says no more than that.
        """
        if self.log10_value_e_value is None or self.label in ("unreadable", "unsettled"):
            return self.log10_e_value
        return self.log10_value_e_value


class Labels(NamedTuple):
    """Masks over value topics and kinds, shape (…, V, K); every alert has exactly one of the last four."""

    alert: NDArray[np.bool_]
    specific: NDArray[np.bool_]
    general: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]
    unsettled: NDArray[np.bool_]


def labels(state: Evidence) -> Labels:
    """What each alert is about, after the latest look.

    - specific: a value alert on a topic that moved more than every control, whichever way the control moved. Without
      controls no alert is specific, since nothing tells a change of values from a change of response style.
    - general: a value alert that is not specific, while some control moved alike.
    - unreadable: no value alert, while the topic's own replies began, or ceased, to take a readable stance.
    - unsettled: any other alert.
    """
    label_VK = state.label_VK
    return Labels(
        label_VK != NO_LABEL,
        label_VK == SPECIFIC,
        label_VK == GENERAL,
        label_VK == UNREADABLE,
        label_VK == UNSETTLED,
    )


def watched(state: Evidence) -> NDArray[np.bool_]:
    """Mask of the topics whose evidence makes them worth more draws, shape (…, T); it never notifies anybody."""
    return np.asarray((state.figures.plain_TDK[..., 0, :] >= LOG_LABEL).any(-1))


def allocated(
    state: Evidence,
    screened_T: NDArray[np.bool_],
    *,
    normal: int = NORMAL_DRAWS,
    closer: int = WATCHED_DRAWS,
) -> NDArray[np.int64]:
    """The number of draws of each topic at the next look, shape (…, T).

    Controls get as many draws as the value topic that gets most, so that the two can be compared draw by draw.

    Args:
        state: Evidence after the latest look.
        screened_T: Mask of the topics whose screen moved far enough, shape (…, T).
        normal: Number of draws of a topic that is not watched.
        closer: Number of draws of a watched topic.
    """
    draws_T = np.where(watched(state) | screened_T, closer, normal)
    num_values = len(state.settings.topics)
    draws_T[..., num_values:] = draws_T[..., :num_values].max(-1, initial=normal, keepdims=True)
    return draws_T


def allocation(
    state: Evidence,
    screened: Collection[str] = (),
    *,
    normal: int = NORMAL_DRAWS,
    closer: int = WATCHED_DRAWS,
) -> dict[str, int]:
    """`allocated` for one run, by topic id; `screened` are the topics for which `floor.exceeds` holds."""
    names = state.settings.names
    draws_T = allocated(state, np.array([name in screened for name in names], bool), normal=normal, closer=closer)
    return dict(zip(names, draws_T.tolist(), strict=True))
