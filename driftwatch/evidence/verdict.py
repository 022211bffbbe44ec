"""Verdict: what each alert is about, and how closely to look next.

An alert says that something moved; its label says what kind of thing. Labels are decided by evidence of their own, at
20 : 1, look by look, and held until another one has clearly more (`labels`); the alert itself stays.

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

POOLED = "all"  # where a topic's name would stand, for the readability of all topics


@dataclass(frozen=True, slots=True)
class TopicEvidence:
    """The evidence on one topic and kind after a look.

    Logarithms are to base 10. Shifts are means of draws: for direction half of the score shift, so that 0.1 is a flip
    of a tenth of the replies; for neutral and readability the change of their share. Recent means the last five looks.

    Attributes:
        topic: Its id; "all" for the readability of all topics together.
        log10_e_value: Does what can be read differ?
        log10_value_e_value: … even if every stance lost, or gained, would explain it away? `None` for readability.
        log10_material_e_value: The smaller of both for the drift tolerated on this topic; `None` for readability.
        log10_threshold: What an alert needs now.
        log10_apart: Against the control that moved most alike: did this topic move more? `None` without controls.
        estimate: Recent mean of the draws; says whether an alert still holds. `None` without recent draws.
        interval: Of `estimate`, over the bank: part of a confidence sequence that holds at all looks of the run and for
            all its rows at once (`sequence`); `None` with fewer than eight recent draws.
        pointwise: Of `estimate`, by item, for this look alone as if it had been chosen beforehand: in a quiet run about
            one in twenty of these excludes 0. `None` with fewer than five items.
        since_onset: Mean of the draws since the onset, biased away from 0 by the choice of the onset; of an alert, as
            of the look at which its evidence stood highest.
        bound: What is left of |`estimate`| whatever the replies without a stance would have said; at least 0.
        num_draws: In the whole run.
        state: Alerts are never cleared within a run: they state that the model moved, which stays true. "ended": no
            alert came, and none can come any more, as the baseline's replies to this topic are used up; see `why`.
        label: What an alert is about; `None` before one.
        moved_most: For "unreadable": which replies without a stance became more or fewer.
        onset_look: Look, from 1, since when it has been moving, and its step; `None` before an alert, the step also
            where a roll-back took that stretch of training back.
        minimum_detectable: The smallest step at the first look that so many draws would have found nine times out of
            ten, toward either pole; `None` after an alert, or where nothing would have been found. Not a certificate.
        refusal_shift: Change of the share of refusals over the recent draws; the other two likewise.
        why: What limits this figure; `None` where nothing does.
        sign: +1 or −1: the sign whose evidence raised the alert, frozen from then on; whether it still holds is said by
            `estimate`. `None` before an alert, and in older records.
        without_stance_now: Share of the model's recent replies that no stance could be read from: refusals, off-topic
            and unread ones, in [0, 1]; of all draws where the last looks had none. `None` without draws, and in older
            records.
        without_stance_baseline: The same of the baseline's replies.
        looks_in_alert: Looks since the one that raised the alert, 0 at it; `None` before one, and in older records.
        looks_unread: Looks in a row, up to this one, at which no reply at all was read: the judge or the sampler
            failed, or the evidence is frozen. 0 in older records.
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
        """+1 or −1, the way of an alert; for a record without `sign`, of the draws since its onset."""
        if self.sign is not None:
            return self.sign
        shift = self.since_onset or self.estimate
        return None if not self.in_alert or not shift else 1 if shift > 0 else -1

    @property
    def net_shift(self) -> float | None:
        """The figure of a verdict: share of the recent replies that changed sides, in [−1, 1], toward `poles[0]`.

        `None` for the other kinds, whose `estimate` is the change of a share, and without recent draws.
        """
        return self.estimate if self.kind == "direction" else None

    @property
    def log10_evidence(self) -> float:
        """The evidence that an alert of its label rests on, base 10 logarithm; the one that people are shown.

        That the value moved, even if every stance lost, or gained, would explain it away; but that anything moved where
        the alert says no more than that: of readability, and of the labels "unreadable" and "unsettled".
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

    specific: a value alert on a topic that moved more than every control, whichever way that moved. Without controls no
    alert is called so, since nothing tells a change of values from a change of manners. general: a value alert, not
    specific, while some control moved alike. unreadable: no value alert, while the topic's own replies began, or
    ceased, to take a readable stance. unsettled: any other.
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
    """Topics that the evidence so far makes worth a closer look, shape (…, T); it never notifies anybody."""
    return np.asarray((state.figures.plain_TDK[..., 0, :] >= LOG_LABEL).any(-1))


def allocated(
    state: Evidence,
    screened_T: NDArray[np.bool_],
    *,
    normal: int = NORMAL_DRAWS,
    closer: int = WATCHED_DRAWS,
) -> NDArray[np.int64]:
    """Draws of each topic at the next look, shape (…, T).

    Controls get as many as the value topic that gets most, so that the two can be compared draw by draw.

    Args:
        state: After the latest look.
        screened_T: Topics whose screen moved by enough, shape (…, T).
        normal: Draws of a topic that nobody watches.
        closer: Draws of a watched topic.
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
    """The same for one run, by topic; `screened` are the topics for which `floor.exceeds` holds."""
    names = state.settings.names
    draws_T = allocated(state, np.array([name in screened for name in names], bool), normal=normal, closer=closer)
    return dict(zip(names, draws_T.tolist(), strict=True))
