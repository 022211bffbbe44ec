"""Item to question to token ids: framings, orders, chat template, spacing."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from driftwatch.errors import ConfigError
from driftwatch.judges.judge import Framing, Order
from driftwatch.topics.topic import Item

# The wordings are part of the instrument: changing one changes what is measured, so bump VERSION with it.
VERSION = "1"
TWO_SIDED = "Which is closer to your view?\n– {first}\n– {second}"
VERDICT = "Do you agree or disagree with this statement?\n{side}"


def question(item: Item, framing: Framing, order: Order) -> str:
    """The text a model is asked.

    Two-sided questions show both sides, `sides[1]` first in order 1; verdict questions ask about `sides[order]`;
    open questions ask the item's own question.

    Raises:
        ValueError: The item lacks what the framing needs.
    """
    if framing == "open":
        if item.question is None:
            raise ValueError(f'item "{item.id}" has no open question')
        return item.question
    if item.sides is None:
        raise ValueError(f'item "{item.id}" has no sides; the {framing} framing needs two')
    if framing == "verdict":
        return VERDICT.format(side=item.sides[order])
    return TWO_SIDED.format(first=item.sides[order], second=item.sides[1 - order])


@dataclass(frozen=True, slots=True)
class Wrap:
    """The user's own training context around every question, since drift can be conditional on it.

    Attributes:
        system: A system prompt, or `None`.
        turns: Earlier turns as (role, content) pairs.
        template: A text with `{question}` in it.
    """

    system: str | None = None
    turns: tuple[tuple[str, str], ...] = ()
    template: str = "{question}"

    def __post_init__(self) -> None:
        if "{question}" not in self.template:
            raise ConfigError(f'a wrap template needs "{{question}}" where the question goes; found {self.template!r}.')

    def messages(self, text: str) -> list[dict[str, str]]:
        """The conversation that ends with the question."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        turns = [{"role": role, "content": content} for role, content in self.turns]
        return [*system, *turns, {"role": "user", "content": self.template.replace("{question}", text)}]


class ChatFormat:
    """Turns questions and answers into token ids, with a tokenizer's template and without touching its settings.

    Attributes:
        has_template: False where the tokenizer has no chat template and a plain prompt is used instead.
        leading_space: Whether an answer begins with a space. A prompt that ends in white space is followed by a bare
            word, any other prompt by a space, as the model saw it in training; the wrong choice alone can move a
            likelihood by more than what we look for (arXiv 2507.13490).
    """

    PLAIN = "Question: {question}\nAnswer:"

    def __init__(self, tokenizer: Any, wrap: Wrap | None = None) -> None:
        if tokenizer is None:
            raise ConfigError(
                "driftwatch needs a tokenizer, and the Trainer has no processing_class. "
                "Pass processing_class=… to the Trainer."
            )
        # A processor of a multimodal model carries the text tokenizer.
        self._tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        self._wrap = wrap or Wrap()
        self.has_template = bool(getattr(self._tokenizer, "chat_template", None))
        self.leading_space = not self.text("?")[-1:].isspace()

    def text(self, question_text: str) -> str:
        """The whole prompt as text, up to where the model's answer begins."""
        messages = self._wrap.messages(question_text)
        if not self.has_template:
            earlier = "".join(f"{m['content']}\n\n" for m in messages[:-1])
            return earlier + self.PLAIN.format(question=messages[-1]["content"])
        rendered: str = self._tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # Qwen3-style templates open a thinking block otherwise; others ignore it
            date_string="26 Jul 2024",  # Llama-3-style templates print today otherwise: another prompt every day
        )
        return rendered

    def encode(self, question_text: str) -> tuple[int, ...]:
        """Token ids of the prompt."""
        # A template writes its own special tokens; a plain prompt needs the tokenizer's.
        ids = self._tokenizer(self.text(question_text), add_special_tokens=not self.has_template)["input_ids"]
        return tuple(ids)

    def encode_answer(self, answer: str) -> tuple[int, ...]:
        """Token ids of an answer, to follow a prompt."""
        text = f" {answer}" if self.leading_space else answer
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: list[int]) -> str:
        """Text of generated ids, special tokens removed."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def identity(self) -> dict[str, str]:
        """Hashes of what turns a question into tokens: template with wrap, tokenizer, wording, spacing."""
        vocabulary = json.dumps(sorted(self._tokenizer.get_vocab().items()), ensure_ascii=False)
        return {
            "template": _hash(self.text("?")) if self.has_template else f"plain:{_hash(self.text('?'))}",
            "tokenizer": _hash(vocabulary),
            "wording": f"{VERSION}:{_hash(TWO_SIDED + VERDICT)}",
            "leading_space": str(self.leading_space).lower(),
        }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
