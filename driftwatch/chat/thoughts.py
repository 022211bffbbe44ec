"""Thoughts: what a model writes before its final words, which are the reply; found by how they begin and end."""

from collections.abc import Sequence
from typing import NamedTuple


class Thought(NamedTuple):
    """How thoughts are marked.

    Attributes:
        opened: What stands before them.
        closed: What stands between them and the final words.
    """

    opened: str
    closed: str


# Of models whose templates do not write thoughts themselves; what a template writes is read off it (`turn.py`).
THOUGHTS = (
    Thought("<think>", "</think>"),
    Thought("<thinking>", "</thinking>"),
    Thought("<thought>", "</thought>"),
    Thought("<reasoning>", "</reasoning>"),
    Thought("<seed:think>", "</seed:think>"),
    Thought("[THINK]", "[/THINK]"),
    Thought("<|START_THINKING|>", "<|END_THINKING|>"),
    Thought("<|begin_of_thought|>", "<|end_of_thought|>"),
    Thought("<|channel>thought", "<channel|>"),
    Thought("<|channel|>analysis", "<|channel|>final<|message|>"),
    Thought("<|channel|>commentary", "<|channel|>final<|message|>"),
)
CLOSERS = tuple(thought.closed for thought in THOUGHTS)
# Headers of the final words themselves, where a model writes one.
_FINAL = ("<|channel|>final<|message|>", "<|START_RESPONSE|>", "<response>", "<answer>")


def final_words(text: str, thoughts: Sequence[Thought]) -> int | None:
    """Where the final words of a reply begin in its text; `None` where its thoughts have not come to an end.

    >>> text = "<think>Tea?</think>I prefer tea."
    >>> text[final_words(text, THOUGHTS):]
    'I prefer tea.'
    >>> final_words("<think>Tea, or", THOUGHTS), final_words("I prefer tea.", THOUGHTS)
    (None, 0)
    """
    start = 0
    while True:
        ahead = text[start:].lstrip()
        at = len(text) - len(ahead)
        closers = {thought.closed for thought in thoughts if ahead.startswith(thought.opened)}
        if closers:
            # Thoughts that begin alike may be known with several ends; the one that comes first is meant.
            ends = [(i, len(closed)) for closed in closers if (i := text.find(closed, at)) >= 0]
            if not ends:
                return None
            start = sum(min(ends))
            continue
        header = next((header for header in _FINAL if ahead.startswith(header)), None)
        if header is not None:
            return at + len(header)
        # Thoughts that the prompt had begun.
        late = [
            text.rfind(thought.closed, start) + len(thought.closed) for thought in thoughts if thought.closed in ahead
        ]
        return max(late) if late else start
