"""Thoughts are what a model writes before its final words, the reply; their beginning and end are marked."""

from collections.abc import Sequence
from typing import NamedTuple


class Thought(NamedTuple):
    """How thoughts are marked.

    Attributes:
        opened: The text before them.
        closed: The text between them and the final words.
    """

    opened: str
    closed: str


# Marks of models whose templates do not write thoughts; those that a template writes are read off it (`turn.py`).
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
# Headers that some models write before the final words.
_FINAL = ("<|channel|>final<|message|>", "<|START_RESPONSE|>", "<response>", "<answer>")


def final_words(text: str, thoughts: Sequence[Thought]) -> int | None:
    """Where the final words of a reply begin in its text; `None` if its thoughts have not come to an end.

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
            # Several kinds of thoughts may begin alike and end differently; the end that comes first counts.
            ends = [(i, len(closed)) for closed in closers if (i := text.find(closed, at)) >= 0]
            if not ends:
                return None
            start = sum(min(ends))
            continue
        header = next((header for header in _FINAL if ahead.startswith(header)), None)
        if header is not None:
            return at + len(header)
        # The prompt may have opened the thoughts, so that the reply only closes them.
        late = [
            text.rfind(thought.closed, start) + len(thought.closed) for thought in thoughts if thought.closed in ahead
        ]
        return max(late) if late else start
