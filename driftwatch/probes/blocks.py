"""Blocks: divides a bank so that a part of it can be asked alone."""

import hashlib
from collections.abc import Sequence


def stratified_blocks(topics: Sequence[str], ids: Sequence[str], number: int) -> tuple[tuple[int, ...], ...]:
    """A bank's division into blocks that each hold items of every topic; block 0 is the core.

    Items are dealt in the order of a hash of their ids, because neighbours in a pack are often alike, and so that the
    division is the same on every machine and in every version.

    Args:
        topics: Topic of each item.
        ids: Id of each item.
        number: Number of blocks wanted; there are fewer if the smallest topic has fewer items.

    Returns:
        Indices of the items, block by block, ascending; sizes differ by at most one.

    >>> stratified_blocks(["a", "a", "b", "b"], ["1", "2", "3", "4"], 2)
    ((0, 3), (1, 2))
    """
    by_topic: dict[str, list[int]] = {}
    for index in sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest()):
        by_topic.setdefault(topics[index], []).append(index)
    number = max(1, min(number, *(len(items) for items in by_topic.values()))) if by_topic else 1
    blocks: list[list[int]] = [[] for _ in range(number)]
    dealt = 0
    for topic in sorted(by_topic):
        for index in by_topic[topic]:
            blocks[dealt % number].append(index)
            dealt += 1
    return tuple(tuple(sorted(block)) for block in blocks)
