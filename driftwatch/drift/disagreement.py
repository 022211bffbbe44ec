"""Disagreement: how far several judges differ on the same replies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How far the judges of a panel differ on some replies. Judges go by their short names here, as in `Vote`.

    Attributes:
        ratio: Share of the replies on which the judges differ, among the replies that two or more of them read; `None`
            where there are no such replies.
        kappa: Cohen's kappa of each pair of judges over the replies that both read, by "first/second"; `None` where
            there are no such replies, or chance alone explains full agreement.
        num_replies: Number of replies that two or more judges read.
        absent: The judges that failed, each with its first reason.
    """

    ratio: float | None
    kappa: dict[str, float | None]
    num_replies: int
    absent: dict[str, str]
