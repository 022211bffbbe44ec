"""Disagreement: how far several judges differ on the same replies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How far the judges of a panel differ on some replies. Judges have their short names here, as in `Vote`.

    Attributes:
        ratio: Share of the replies on which those that read it differ, among the replies that two or more read.
            `None` where there are none.
        kappa: Cohen's kappa of each pair of judges over all outcomes, by "first/second"; `None` where chance alone
            explains full agreement.
        num_replies: Replies that two or more judges read.
        absent: Judges that failed, with the first reason.
    """

    ratio: float | None
    kappa: dict[str, float | None]
    num_replies: int
    absent: dict[str, str]
