"""Answers in the tokens that training gives them: the whole text is encoded, and cut where the answer's words begin.

A prompt and an answer that are encoded separately have other tokens than their text as a whole: SentencePiece puts a
dummy prefix before the answer, and a space or newline at the border merges with the first word. Such a word has a
likelihood that training never changed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

Ids = tuple[int, ...]
_BATCH = 1024  # texts per call of the tokenizer, which bounds its memory


class Scorable(NamedTuple):
    """One prompt and the answers that are scored after it.

    Attributes:
        prompt: The tokens with which all of the texts begin, and with which the prompt alone begins, too.
        answers: The tokens that follow in each text, up to the end of the answer's words; the turn's end is left out.
        lengths: How many tokens of each answer carry its words. If the first word of one answer merges with the end of
            the prompt, the other answers begin with that end as a token of its own. It counts in their likelihood and
            not in their length, so all answers are compared after the same prompt.
    """

    prompt: Ids
    answers: tuple[Ids, ...]
    lengths: tuple[int, ...]


class Text(NamedTuple):
    """A conversation as text.

    Attributes:
        whole: All of it, with the end of the turn.
        end: The position in `whole` where the answer's words end.
    """

    whole: str
    end: int


class Encoder:
    """Encodes text with a tokenizer, without touching its settings.

    Args:
        tokenizer: A tokenizer that is called with texts.
        special: Whether it adds its own special tokens; a template writes them itself.
    """

    def __init__(self, tokenizer: Any, *, special: bool) -> None:
        self._tokenizer, self.special = tokenizer, special
        self._has_offsets = bool(getattr(tokenizer, "is_fast", False))
        self._specials = frozenset(getattr(tokenizer, "all_special_ids", None) or ())

    def encode(self, text: str) -> Ids:
        """All ids of a text."""
        return tuple(self._tokenizer(text, add_special_tokens=self.special)["input_ids"])

    def up_to(self, texts: Sequence[Text]) -> list[Ids]:
        """Ids of whole texts, without those that begin after the answer's end."""
        found: list[Ids] = []
        for start in range(0, len(texts), _BATCH):
            found += self._batch(texts[start : start + _BATCH])
        return found

    def _batch(self, texts: Sequence[Text]) -> list[Ids]:
        if not self._has_offsets:
            return [self._cut(text) for text in texts]
        wholes = [text.whole for text in texts]
        try:
            out = self._tokenizer(wholes, add_special_tokens=self.special, return_offsets_mapping=True)
        except (NotImplementedError, TypeError, ValueError):  # it claims to be fast and gives no offsets
            self._has_offsets = False
            return self._batch(texts)
        rows = zip(out["input_ids"], out["offset_mapping"], texts, strict=True)
        return [tuple(ids[: _last(offsets, text.end) + 1]) for ids, offsets, text in rows]

    def _cut(self, text: Text) -> Ids:
        """Without offsets: the tokens that a text has with and without its end, and one that merges with the end."""
        whole = self._without_end(self.encode(text.whole))
        short = self._without_end(self.encode(text.whole[: text.end]))
        shared = shared_length(whole, short)
        return whole[: shared + (shared < len(short))]

    def _without_end(self, ids: Ids) -> Ids:
        end = len(ids)
        while end and ids[end - 1] in self._specials:
            end -= 1
        return ids[:end]


def scorable(head: Ids, wholes: Sequence[Ids], *, at_most: int) -> Scorable:
    """Cut the answers off their prompt.

    Args:
        head: Ids of the prompt alone, up to where answers begin.
        wholes: Ids of the prompt with each answer, up to the answer's end.
        at_most: The largest length of the prompt, in tokens.
    """
    own = [shared_length(head, whole) for whole in wholes]
    start = min(at_most, *own)
    # A token that the head has, too, carries no word of the answer.
    return Scorable(
        head[:start],
        tuple(whole[start:] for whole in wholes),
        tuple(len(w) - o for w, o in zip(wholes, own, strict=True)),
    )


def _last(offsets: Sequence[tuple[int, int]], end: int) -> int:
    """Index of the last token that carries text before `end`; tokens that a tokenizer adds by itself carry none."""
    return next(
        (i for i in range(len(offsets) - 1, -1, -1) if offsets[i][0] < end and offsets[i][1] > offsets[i][0]), -1
    )


def shared_length(a: Sequence[object], b: Sequence[object]) -> int:
    """How many tokens, or characters, are equal from the beginning."""
    length = min(len(a), len(b))
    return next((i for i in range(length) if a[i] != b[i]), length)
