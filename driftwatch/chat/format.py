"""ChatFormat: questions and answers to the token ids that training gives them."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from driftwatch.chat.mistral import IdsWriting, writes_ids_only
from driftwatch.chat.template import find_template, text_tokenizer
from driftwatch.chat.thoughts import final_words
from driftwatch.chat.tokens import Scorable
from driftwatch.chat.turn import ANSWERS
from driftwatch.chat.wrap import Wrap
from driftwatch.chat.writing import NO_TEMPLATE, PLAIN, TextWriting, Writing
from driftwatch.errors import ConfigError
from driftwatch.topics.question import TWO_SIDED, VERDICT, VERSION

__all__ = ["ChatFormat", "Scorable", "Wrap"]

UNFINISHED = "its thoughts had not come to an end, so nothing was said"
_TRIED = (*ANSWERS, "I think that this is so.", "In my view, it is not.", "Both have good points.")


class ChatFormat:
    """Turns questions and answers into the token ids that training gives them, without touching a tokenizer's settings.

    What is put in is found again in what comes out, or the tokenizer is refused; answers are cut from whole
    conversations; dates stand still. `writing.py` and `turn.py` say how.

    Args:
        tokenizer: The tokenizer or processor that training uses.
        wrap: The user's own training context around every question.

    Raises:
        ConfigError: There is none, or its chat template cannot be used: expected, found, what to do.

    Attributes:
        has_template: False where the tokenizer has no chat template and a plain prompt is used instead.
        leading_space: Whether an answer follows the prompt after a space that the prompt does not hold. A template
            writes its own, and the wrong choice alone can move a likelihood by more than what we look for
            (arXiv 2507.13490).
        notes: What a reader of the run should know about how the model is asked.
        rendering: What was found out about the chat template by trying it; `None` where there is none.
    """

    PLAIN = PLAIN

    def __init__(self, tokenizer: Any, wrap: Wrap | None = None) -> None:
        if tokenizer is None:
            raise ConfigError(
                "driftwatch needs a tokenizer, and the Trainer has no processing_class. "
                "Pass processing_class=… to the Trainer."
            )
        self._given = tokenizer
        self._tokenizer = text_tokenizer(tokenizer)
        self._wrap = wrap or Wrap()
        self._writing: Writing
        if find_template(tokenizer) is None and writes_ids_only(tokenizer):
            self._writing = IdsWriting(tokenizer, self._wrap)
        else:
            self._writing = TextWriting(tokenizer, self._wrap)
        self.has_template = self._writing.template != NO_TEMPLATE
        self.leading_space = bool(self._writing.space)
        self.notes = self._writing.notes
        self.rendering = self._writing.rendering

    def text(self, question_text: str) -> str:
        """The whole prompt as text, up to where the model's answer begins."""
        return self._writing.text(question_text)

    def encode(self, question_text: str) -> tuple[int, ...]:
        """Token ids of the prompt that a reply is written after; an end that merges with a first word is left out."""
        return self._writing.asked(question_text)

    def encode_pairs(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Scorable]:
        """Questions with the answers that are scored, in the tokens of training.

        Args:
            asked: Question texts, each with its answers.

        Returns:
            One a question: the prompt that its answers share, what follows in each, and how many tokens of that carry
            the answer's words.
        """
        return self._writing.scorables(asked)

    def encode_answer(self, answer: str) -> tuple[int, ...]:
        """Token ids of an answer, as they follow a prompt."""
        return self._writing.scorables([("?", [answer])])[0].answers[0]

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Tokens that end the assistant's turn: what the template writes after an answer, and the end of a text."""
        end = getattr(self._tokenizer, "eos_token_id", None)
        return tuple(dict.fromkeys([*self._ends[0], *(() if end is None else (int(end),))]))

    @property
    def ends(self) -> tuple[str, ...]:
        """What the template ends the assistant's turn with: names of tokens, or text where no token does."""
        ids, texts = self._ends
        return (*map(self.token, ids), *texts)

    @cached_property
    def _ends(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        return self._writing.ends()

    def token(self, number: int) -> str:
        """The name of a token, for sentences."""
        return str(self._tokenizer.convert_ids_to_tokens([number])[0])

    def decode(self, ids: Sequence[int]) -> str:
        """The reply in generated ids: the final words, without thoughts before them and without special tokens.

        Empty where thoughts have not come to an end; `missing` tells.
        """
        start = self._final(ids)
        if start is None:
            return ""
        text: str = self._tokenizer.decode(list(ids[start:]), skip_special_tokens=True)
        for end in self._ends[1]:
            text = text.split(end)[0]
        return text.strip()

    def missing(self, ids: Sequence[int]) -> str | None:
        """Why generated ids hold no reply: thoughts that have not come to an end; `None` where they hold one."""
        return UNFINISHED if self._final(ids) is None else None

    def _final(self, ids: Sequence[int]) -> int | None:
        """How many ids stand before the final words."""
        raw: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        start = final_words(raw, self._writing.thoughts)
        if not start:
            return start
        lengths = (len(self._tokenizer.decode(list(ids[:n]), skip_special_tokens=False)) for n in range(len(ids) + 1))
        return next((n for n, length in enumerate(lengths) if length >= start), len(ids))

    def identity(self) -> dict[str, str]:
        """Hashes of what turns a question into tokens: template with wrap, tokenizer, wording, tokens of answers."""
        vocabulary = json.dumps(sorted(self._tokenizer.get_vocab().items()), ensure_ascii=False)
        rendered = _hash(self.text("?"))
        return {
            "template": rendered if self.has_template else f"plain:{rendered}",
            "template_source": _hash(self._writing.template.strip()) if self.has_template else NO_TEMPLATE,
            "tokenizer": _hash(vocabulary),
            "wording": f"{VERSION}:{_hash(TWO_SIDED + VERDICT)}",
            "leading_space": self._spacing(),
        }

    def _spacing(self) -> str:
        """How answers follow the prompt.

        Up to driftwatch's first baselines each was encoded by itself, after a space where the prompt did not end in
        white space, and that space was all that this part named. It still is where the tokens are the same, so that
        those baselines can be compared; otherwise the tokens themselves are named, and they are refused.
        """
        (found,) = self.encode_pairs([("?", _TRIED)])
        prompt = self.text("?")
        space = not prompt[-1:].isspace()
        try:
            before = tuple(self._tokenizer(prompt, add_special_tokens=not self.has_template)["input_ids"])
            alone = [
                tuple(self._tokenizer(f" {a}" if space else a, add_special_tokens=False)["input_ids"]) for a in _TRIED
            ]
        except Exception:  # noqa: BLE001 - a tokenizer that could not be asked so then has no baselines from then
            before, alone = (), []
        if [(*before, *ids) for ids in alone] == [(*found.prompt, *ids) for ids in found.answers]:
            return str(space).lower()
        return f"as in training:{_hash(repr((found.prompt[-1:], found.answers)))}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
