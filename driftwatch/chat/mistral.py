"""Mistral's own tokenizer, which writes conversations as token ids and has no template: `MistralCommonBackend`.

`AutoTokenizer` returns it for Mistral's repositories once mistral-common is installed. It refuses arguments that it
does not know. Depending on its mode, it also refuses conversations that end with the assistant, or those that do not.
"""

from collections.abc import Sequence
from typing import Any

from driftwatch.chat.thoughts import THOUGHTS, Thought
from driftwatch.chat.tokens import Ids, Scorable, scorable, shared_length
from driftwatch.chat.turn import ANSWERS, NEXT, QUESTION
from driftwatch.chat.wrap import Wrap
from driftwatch.chat.writing import Rendering
from driftwatch.errors import ConfigError


def writes_ids_only(given: Any) -> bool:
    """Whether a tokenizer without a template can write conversations; found by trying, as a base model's raises."""
    if getattr(given, "chat_template", None) or not callable(getattr(given, "apply_chat_template", None)):
        return False
    user, assistant = {"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWERS[0]}
    # Its mode decides which of the two it accepts.
    return _writes(given, [user]) or _writes(given, [user, assistant])


def _writes(given: Any, messages: list[dict[str, str]]) -> bool:
    try:
        ids = given.apply_chat_template(messages, tokenize=True, return_dict=False)
        return _holds(given.decode(ids, skip_special_tokens=True), QUESTION)
    except Exception:  # noqa: BLE001 - it can be anybody's code, and any error is a refusal
        return False


class IdsWriting:
    """A `writing.Writing` whose conversations the tokenizer itself writes.

    Args:
        tokenizer: Renders conversations to ids.
        wrap: The user's own context.

    Raises:
        ConfigError: The tokenizer refuses the conversation, or loses part of it.
    """

    rendering: Rendering | None = Rendering(proved=True)  # the tokenizer itself writes the ids
    notes: tuple[str, ...] = ()
    space = ""
    thoughts: tuple[Thought, ...] = THOUGHTS

    def __init__(self, tokenizer: Any, wrap: Wrap) -> None:
        self._tokenizer, self._wrap = tokenizer, wrap
        self._special = frozenset(tokenizer.all_special_ids)
        self._heads: dict[str, Ids] = {}
        text = tokenizer.decode(list(self.asked(QUESTION)), skip_special_tokens=True)
        for message in wrap.messages(QUESTION):
            if not _holds(text, message["content"]):
                raise ConfigError(self._refusal(f'"{message["content"][:60]}" is not in what it writes'))
        self.template = f"{type(tokenizer).__name__} {self.text(QUESTION)}"

    def text(self, question: str) -> str:
        """The text that a reply is written after, with its special tokens."""
        return str(self._tokenizer.decode(list(self.asked(question)), skip_special_tokens=False)).replace("▁", " ")

    def asked(self, question: str) -> Ids:
        """The ids that every answer to a question is written after."""
        if question not in self._heads:
            first, second = (self._with_answer(question, answer) for answer in ANSWERS)
            self._heads[question] = first[: shared_length(first, second)]
        return self._heads[question]

    def scorables(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Scorable]:
        """Questions with their answers, in the tokens of training."""
        found = []
        for question, answers in asked:
            head = self.asked(question)
            wholes = [self._with_answer(question, answer) for answer in answers]
            found.append(scorable(head, wholes, at_most=len(head)))
        return found

    def ends(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The first special token between an answer and the next question."""
        messages = [*self._wrap.messages(QUESTION), {"role": "assistant", "content": ANSWERS[0]}]
        words = self._with_answer(QUESTION, ANSWERS[0])[len(self.asked(QUESTION)) :]
        again = [*messages, {"role": "user", "content": NEXT}]
        for conversation in (messages, again, [*again, {"role": "assistant", "content": ANSWERS[1]}]):
            try:
                ids = self._rendered(conversation)
            except ConfigError:  # its mode decides which of them it accepts
                continue
            at = next((i for i in range(len(ids)) if ids[i : i + len(words)] == words), len(ids))
            after = ids[at + len(words) :]
            if after and after[0] in self._special:
                return (after[0],), ()
        return (), ()

    def _with_answer(self, question: str, answer: str) -> Ids:
        """Ids of the conversation up to the answer's end."""
        messages = [*self._wrap.messages(question), {"role": "assistant", "content": answer}]
        try:
            ids = self._rendered(messages, continue_final_message=True)
        except ConfigError:  # the mode for training
            ids = self._rendered(messages)
        end = len(ids)
        while end and ids[end - 1] in self._special:
            end -= 1
        return ids[:end]

    def _rendered(self, messages: Sequence[dict[str, str]], **settings: Any) -> Ids:
        try:
            return tuple(
                self._tokenizer.apply_chat_template(list(messages), tokenize=True, return_dict=False, **settings)
            )
        except Exception as err:
            raise ConfigError(self._refusal(f"{type(err).__name__}: {err}")) from err

    def _refusal(self, found: str) -> str:
        return (
            f"expected {type(self._tokenizer).__name__} to write a conversation with the whole question and an answer "
            f"in it; found: {found}. Give it a wrap (system, turns) that it takes, or another tokenizer."
        )


def _holds(text: str, words: str) -> bool:
    """Whether words are in decoded text, which may write a space with SentencePiece's own sign."""
    return "".join(words.split()) in "".join(text.replace("▁", " ").split())
