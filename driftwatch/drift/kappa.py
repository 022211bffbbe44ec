"""Cohen's kappa: how far two raters of the same things agree beyond chance."""

from collections import Counter
from collections.abc import Hashable, Sequence


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Agreement of two raters beyond chance, at most 1; `None` where chance alone explains full agreement.

    Source:
        Cohen (1960), "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20(1).

    >>> cohen_kappa(["a", "b", "a", "b"], ["a", "b", "b", "b"])
    0.5
    """
    total = len(first)
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / total
    counts, others = Counter(first), Counter(second)
    chance = sum(counts[label] * others[label] for label in counts) / total**2
    return None if chance == 1 else (agreed - chance) / (1 - chance)
