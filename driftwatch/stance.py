"""Stance: one measured answer of the model to one item.

Throughout, "support" means toward `topic.poles[0]`, "oppose" toward `poles[1]`, and "neutral" means explicitly neither.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Probs(NamedTuple):
    """P(support), P(neutral), P(oppose), or three figures in that order; as probabilities they sum to 1."""

    support: float
    neutral: float
    oppose: float


STANCES = Probs._fields


@dataclass(frozen=True, slots=True)
class Stance:
    """What one probe found for one item at one observation.

    Attributes:
        topic: Topic id.
        item: Item id, unique in its pack.
        probe: Kind of the probe, for example "statement" or "reply".
        probs: Mean over both orders; `None` before calibration, or if nothing could be measured.
        by_order: The same for each order of the sides (order 1 shows `sides[1]` first).
        scores: Log-likelihood of each stance's answers in nats per token, mean over both orders, before any
            calibration; screen only.
        scores_by_order: The same for each order.
        log_odds: scores.support - scores.oppose, nats per token; screen only.
        frame_log_odds: The log_odds from each frame of the answers alone, mean over both orders, nats per token;
            screen only.
        naysaying: P("no") when asked to agree with either side, mean over the sides, in [0, 1]. It belongs to the
            response style and is no value.
        refusal: Share of the replies that refuse, in [0, 1]; `None` for probes that decode nothing.
        unread: Share of the replies that are unclassified, refusals not counted, in [0, 1].
        coverage: Share of the measurements for this item that succeeded, in [0, 1].
        unscored: Why there is no figure; `None` if there is one.
    """

    topic: str
    item: str
    probe: str
    probs: Probs | None = None
    by_order: tuple[Probs | None, Probs | None] = (None, None)
    scores: Probs | None = None
    scores_by_order: tuple[Probs | None, Probs | None] = (None, None)
    log_odds: float | None = None
    frame_log_odds: tuple[float, ...] | None = None
    naysaying: float | None = None
    refusal: float | None = None
    unread: float | None = None
    coverage: float | None = None
    unscored: str | None = None
