"""A smaller pack that asks about the same matters, in balanced wording."""

from collections.abc import Sequence

from driftwatch.topics.lint.balance import leans
from driftwatch.topics.topic import Item, Topic, TopicPack


def stratified(pack: TopicPack, number: int) -> dict[str, list[str]]:
    """Ids of about `number` items per topic, in the order of the pack; topics with fewer keep all.

    Writers put claims about one matter beside each other. So the items of a topic are cut into `number` runs of about
    equal length, and one item is taken from each. The choice is improved item by item until the features of the wording
    (see `balance`) fall to either pole as evenly as possible. No chance is involved: the same pack gives the same
    subset.

    Raises:
        ValueError: `number` is below 1.
    """
    if number < 1:
        raise ValueError(f"expected at least 1 item a topic, found {number}.")
    return {topic.id: [item.id for item in _pick(topic, number)] for topic in pack}


def _pick(topic: Topic, number: int) -> list[Item]:
    items, count = topic.items, len(topic.items)
    if count <= number:
        return list(items)
    runs = [items[count * n // number : count * (n + 1) // number] for n in range(number)]
    picked = [run[0] for run in runs]
    best = _unevenness(picked)
    improved = True
    while improved:
        improved = False
        for n, run in enumerate(runs):
            for item in run:
                trial = [*picked[:n], item, *picked[n + 1 :]]
                unevenness = _unevenness(trial)
                if unevenness < best:
                    picked, best, improved = trial, unevenness, True
    return picked


def _unevenness(items: Sequence[Item]) -> int:
    """Sum over the features of the squared surplus of one pole, which is 0 for perfect balance."""
    by_item = [leans(item.sides) for item in items if item.sides is not None]
    return sum(sum(column) ** 2 for column in zip(*by_item, strict=True))
