"""ChatFormat turns questions and answers into the token ids that training gives them."""

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

    A tokenizer that loses part of a question or an answer is refused. Answers are cut from whole conversations, and
    dates stand still. `writing.py` and `turn.py` say how.

    Args:
        tokenizer: The tokenizer or processor that training uses.
        wrap: The user's own training context around every question.

    Raises:
        ConfigError: There is no tokenizer, or its chat template cannot be used; the message says what was expected,
            what was found and what to do.

    Attributes:
        has_template: Whether the tokenizer has a chat template; without one, a plain prompt is used.
        leading_space: Whether an answer follows the prompt after a space that the prompt does not hold. A template
            writes its own space, and the wrong choice alone can move a likelihood by more than the drift that we look
            for (arXiv 2507.13490).
        notes: What a reader of the run should know about how the model is asked.
        rendering: What was found out about the chat template by trying it; `None` if there is no template.
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
        """Token ids of the prompt that a reply follows, without an end that could merge with the reply's first word."""
        return self._writing.asked(question_text)

    def encode_pairs(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Scorable]:
        """Questions with the answers that are scored, in the tokens of training.

        Args:
            asked: Question texts, each with its answers.

        Returns:
            One entry per question: the prompt that its answers share, the tokens that follow it in each, and how many
            of those tokens carry the answer's words.
        """
        return self._writing.scorables(asked)

    def encode_answer(self, answer: str) -> tuple[int, ...]:
        """Token ids of an answer, as they follow a prompt."""
        return self._writing.scorables([("?", [answer])])[0].answers[0]

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Tokens that end the assistant's turn: those that the template writes after an answer, and the end of text."""
        end = getattr(self._tokenizer, "eos_token_id", None)
        return tuple(dict.fromkeys([*self._ends[0], *(() if end is None else (int(end),))]))

    @property
    def ends(self) -> tuple[str, ...]:
        """How the template ends the assistant's turn: names of tokens, or texts if no token ends it."""
        ids, texts = self._ends
        return (*map(self.token, ids), *texts)

    @cached_property
    def _ends(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        return self._writing.ends()

    def token(self, number: int) -> str:
        """The name of a token, for messages."""
        return str(self._tokenizer.convert_ids_to_tokens([number])[0])

    def decode(self, ids: Sequence[int]) -> str:
        """The reply in generated ids: the final words, without the thoughts before them and without special tokens.

        It is empty if the thoughts have not come to an end; `missing` says so.
        """
        start = self._final(ids)
        if start is None:
            return ""
        text: str = self._tokenizer.decode(list(ids[start:]), skip_special_tokens=True)
        for end in self._ends[1]:
            text = text.split(end)[0]
        return text.strip()

    def missing(self, ids: Sequence[int]) -> str | None:
        """Why generated ids hold no reply (their thoughts have not come to an end); `None` if they hold one."""
        return UNFINISHED if self._final(ids) is None else None

    def _final(self, ids: Sequence[int]) -> int | None:
        """How many ids stand before the final words; `None` if the thoughts have not come to an end."""
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
        """How answers follow the prompt, as a part of the identity.

        For driftwatch's first baselines, each answer was encoded by itself, after a space if the prompt did not end in
        white space, and this part named only that space. It still does if the tokens are the same, so that those
        baselines can be compared. Otherwise it names the tokens themselves, and those baselines are refused.
        """
        (found,) = self.encode_pairs([("?", _TRIED)])
        prompt = self.text("?")
        space = not prompt[-1:].isspace()
        try:
            before = tuple(self._tokenizer(prompt, add_special_tokens=not self.has_template)["input_ids"])
            alone = [
                tuple(self._tokenizer(f" {a}" if space else a, add_special_tokens=False)["input_ids"]) for a in _TRIED
            ]
        except Exception:  # noqa: BLE001 - a tokenizer that cannot be called in this way has no such baselines
            before, alone = (), []
        if [(*before, *ids) for ids in alone] == [(*found.prompt, *ids) for ids in found.answers]:
            return str(space).lower()
        return f"as in training:{_hash(repr((found.prompt[-1:], found.answers)))}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
