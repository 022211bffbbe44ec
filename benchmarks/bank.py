"""The questions that the benchmarks ask: those of the screen, from a built-in pack."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from driftwatch.chat.format import ChatFormat
from driftwatch.probes.statement import FRAMES, NEUTRAL, clause
from driftwatch.scoring.score import Request
from driftwatch.topics import Item, load_pack
from driftwatch.topics.question import question


def screen_requests(tokenizer: Any, pack: str, num_prompts: int | None = None) -> list[Request]:
    """Two-sided questions with every answer that the screen scores: 3 frames a side and 4 neutral ones.

    Args:
        tokenizer: Of the model that is asked.
        pack: Name of a built-in pack.
        num_prompts: A fixed sample of this many, spread evenly over topics and orders; the whole pack when `None`.
    """
    encoder = ChatFormat(tokenizer)
    asked = list(two_sided_items(pack))
    if num_prompts is None:
        return [request(encoder, item, order) for item in asked for order in (0, 1)]
    if num_prompts > len(asked):
        raise ValueError(f'pack "{pack}" has {len(asked)} two-sided items; found a sample of {num_prompts}')
    return [request(encoder, item, index % 2) for index, item in enumerate(asked[:num_prompts])]


def request(encoder: ChatFormat, item: Item, order: int) -> Request:
    """One question and its answers."""
    assert item.sides is not None
    framed = [frame.format(clause=clause(side)) for side in item.sides for frame in FRAMES]
    answers = tuple(encoder.encode_answer(answer) for answer in (*framed, *NEUTRAL))
    return Request(encoder.encode(question(item, "two_sided", 1 if order else 0)), answers)


def two_sided_items(pack: str) -> Iterator[Item]:
    """The first item of every topic, then the second of every topic, and so on."""
    for row in zip_longest(*(topic.items for topic in load_pack(pack))):
        yield from (item for item in row if item is not None and item.sides is not None)
