"""Verdict: what each alert is about, and how closely to look next.

An alert says that something moved; its label says what kind of thing. Labels are decided by evidence of their own, at
20 : 1, and recomputed at each look; the alert itself stays.

Shape letters as in `evidence`: … batch, T topics (V values, C controls), K kinds.
"""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.evidence import LABEL_EVIDENCE, Evidence
from driftwatch.drift.planning import NORMAL_DRAWS, WATCHED_DRAWS

ALIKE = 0.5  # a control that moved at least this share of the topic's shift moved alike
LOG_LABEL = math.log(LABEL_EVIDENCE)


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
    figures, num_values = state.figures, len(state.settings.topics)
    alert = state.alert_look_VDK[..., 0, :] > 0
    value = state.value_look_VDK[..., 0, :] > 0
    sign_VK = figures.sign_TK[..., :num_values, :]
    apart_VCK = np.take_along_axis(figures.apart_VCKG, sign_VK[..., None, :, None], -1)[..., 0]
    specific = value & (apart_VCK >= LOG_LABEL).all(-2) & bool(state.settings.controls)
    shift_TK = np.abs(state.onset_TK.estimate(figures.sign_TK)[0])
    control_moved_CK = figures.value_TDK[..., num_values:, 0, :] >= LOG_LABEL
    alike_VCK = shift_TK[..., None, num_values:, :] >= ALIKE * shift_TK[..., :num_values, None, :]
    general = value & ~specific & (control_moved_CK[..., None, :, :] & alike_VCK).any(-2)
    unreadable = alert & ~value & (figures.lost_T[..., :num_values, None] >= LOG_LABEL)
    return Labels(alert, specific, general, unreadable, alert & ~specific & ~general & ~unreadable)


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
