"""What training writes around one question and one answer, read off the template by trial.

The conversation is rendered *with* the assistant's turn, as trainers render it (TRL's `data_utils` and `tokenize_fn`).
All that stands before the answer's words is the prompt, with any spaces, newlines, empty thinking block and channel
header that the template writes. Whether content has to be passed as a string or as a list of parts is tried: templates
of vision models drop a plain string without an error.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from driftwatch.chat.template import CannotRender, Message, Template
from driftwatch.chat.thoughts import CLOSERS, THOUGHTS, Thought
from driftwatch.chat.tokens import shared_length
from driftwatch.chat.wrap import Wrap
from driftwatch.errors import ConfigError

QUESTION, NEXT = "Which is it, marigold or periwinkle?", "And the umbrella, too?"
ANSWERS = ("Quince it is, by all means.", "I would say walnut.")
_MARKER_LENGTH = 3  # characters; shorter ends may stand in a sentence
_THOUGHT = "Let me ponder zucchini."
_REASONING = ("reasoning_content", "thinking", "reasoning")


class Around(NamedTuple):
    """The text around an answer.

    Attributes:
        head: The text before the answer's words.
        tail: The text after them.
        space: The space between the head and the words, if the head does not hold it.
    """

    head: str
    tail: str
    space: str = ""

    def whole(self, answer: str) -> str:
        """The conversation with an answer in it."""
        return f"{self.head}{self.space}{answer}{self.tail}"


class Turn:
    """One turn of user and assistant, as text.

    Raises:
        ConfigError: The template loses part of the conversation, or refuses it.

    Attributes:
        notes: What a reader of the run should know.
        ends: The texts that may follow an answer, at the end of a conversation and before the next question. None of
            them is empty.
        thoughts: How thoughts that a reply may hold before its final words begin and end.
    """

    def __init__(self, template: Template, wrap: Wrap, *, parts_first: bool) -> None:
        self.template = template
        self._wrap = wrap
        self._user_parts, self._assistant_parts, self._folds = self._shape(parts_first)
        template.prove(self.messages(QUESTION, ANSWERS[0]))
        if (fault := self._fault()) is not None:  # checked again, as `prove` may have chosen the tokenizer's rendering
            raise ConfigError(self._refusal([fault]))
        self._asks_off = self._is_asked_without_thinking()
        self.notes = tuple(self._notes())
        self.ends = self._ends()
        self.thoughts = (*self._learned(), *THOUGHTS)

    def messages(self, question: str, answer: str | None = None) -> list[Message]:
        """The conversation as the template accepts it, with the assistant's turn if an answer is given."""
        said = self._wrap.messages(question)
        if self._folds and said[0]["role"] == "system":
            system, said = said[0]["content"], said[1:]
            first = next(i for i, message in enumerate(said) if message["role"] == "user")
            said[first] = {"role": "user", "content": f"{system}\n\n{said[first]['content']}"}
        return _passed(said, answer, self._user_parts, self._assistant_parts)

    def around(self, question: str) -> Around:
        """The text that the template writes around an answer to a question, checked to hold all of the question.

        Raises:
            ConfigError: Something is missing, or the template refuses this question.
        """
        try:
            found = _around(self.template, self.messages(question, ANSWERS[0]), ANSWERS[0])
        except CannotRender as err:
            raise ConfigError(self._refusal([str(err)])) from err
        if (lost := _lost(found.head, self._wrap.messages(question))) is not None:
            raise ConfigError(self._refusal([lost]))
        return found

    def rendered(self, question: str, answer: str) -> str:
        """The text of the whole conversation."""
        try:
            return self.template.render(self.messages(question, answer))
        except CannotRender as err:
            raise ConfigError(self._refusal([str(err)])) from err

    def asked(self, question: str) -> str:
        """The text that a reply follows: the head of an answer, or the template's own prompt without thinking."""
        if not self._asks_off:
            return self.around(question).head
        try:
            return self.template.render(self.messages(question), add_generation_prompt=True, enable_thinking=False)
        except CannotRender as err:
            raise ConfigError(self._refusal([str(err)])) from err

    @property
    def content(self) -> str:
        """How content has to be passed, "parts" or "text"."""
        return "parts" if self._user_parts else "text"

    def against_prompt(self) -> tuple[str, str]:
        """What training leaves out of the template's own generation prompt, and what it has in that place."""
        head = self.around(QUESTION).head
        try:
            prompt = self.template.render(self.messages(QUESTION), add_generation_prompt=True)
        except CannotRender:
            return "", ""
        shared = shared_length(prompt, head)
        return prompt[shared:], head[shared:]

    def _shape(self, parts_first: bool) -> tuple[bool, bool, bool]:
        """How content has to be passed, as parts or not, so that the template loses none of it.

        Returns:
            Whether the user's content is passed as parts, whether the assistant's is, and whether the system text is
            put into the first question.
        """
        faults = []
        kinds = [(False, False), (True, True), (True, False), (False, True)]
        if parts_first:  # as TRL passes them to a processor
            kinds[:2] = kinds[1::-1]
        for folds in (False, True) if self._wrap.system else (False,):
            for user, assistant in kinds:
                self._user_parts, self._assistant_parts, self._folds = user, assistant, folds
                fault = self._fault()
                if fault is None:
                    return user, assistant, folds
                faults.append(fault)
        raise ConfigError(self._refusal(faults))

    def _fault(self) -> str | None:
        """What is wrong with the conversation as it is passed now; `None` if nothing is wrong."""
        try:
            first, second, again = (
                _around(self.template, self.messages(QUESTION, answer), answer) for answer in (*ANSWERS, ANSWERS[0])
            )
        except CannotRender as err:
            return str(err)
        if first != again:
            return "it writes another text from one call to the next"
        if first != second:
            return "what it writes around an answer depends on the answer"
        return _lost(first.head, self._wrap.messages(QUESTION))

    def _refusal(self, faults: Sequence[str]) -> str:
        found = "; ".join(dict.fromkeys(faults))
        return (
            f"expected {self.template.name} to write a conversation with the whole question and the answer in it, as "
            f"it would be trained on; found: {found}. Give the tokenizer a chat template that does, or a wrap "
            "(system, turns) that this one takes."
        )

    def _is_asked_without_thinking(self) -> bool:
        """Whether replies must be asked for without thinking, since training's rendering leaves room for thoughts."""
        head = self.around(QUESTION).head
        if _is_closed(head):
            return False
        try:
            off = self.template.render(self.messages(QUESTION), add_generation_prompt=True, enable_thinking=False)
        except CannotRender:
            return False
        return _is_closed(off) and _lost(off, self._wrap.messages(QUESTION)) is None

    def _notes(self) -> list[str]:
        notes = []
        if self._folds:
            notes.append(
                f"{self.template.name} has no system role, so the wrap's system text stands at the beginning of the "
                "first question"
            )
        if self._asks_off:
            notes.append("replies are asked for with enable_thinking=False, as they are too short to hold thoughts")
        return notes

    def _ends(self) -> tuple[str, ...]:
        messages = self.messages(QUESTION, ANSWERS[0])
        ends = [self.around(QUESTION).tail]
        following = _passed([{"role": "user", "content": NEXT}], None, self._user_parts, self._assistant_parts)
        try:
            text = self.template.render([*messages, *following])
        except CannotRender:  # some templates accept a single exchange only
            text = ""
        start = text.rfind(ANSWERS[0])
        end = text.rfind(NEXT)
        if 0 <= start < end:
            ends.append(text[start + len(ANSWERS[0]) : end])
        return tuple(dict.fromkeys(end for end in ends if end.strip()))

    def _learned(self) -> list[Thought]:
        """How the template writes an assistant's thoughts before the final words, if it does."""
        messages = self.messages(QUESTION, ANSWERS[0])
        messages[-1] |= dict.fromkeys(_REASONING, _THOUGHT)
        try:
            text = self.template.render(messages)
            prompt = self.template.render(messages[:-1], add_generation_prompt=True)
        except CannotRender:
            return []
        start = text.find(_THOUGHT)
        end = text.rfind(ANSWERS[0])
        if not text.startswith(prompt) or not len(prompt) <= start < end:
            return []
        found = Thought(text[len(prompt) : start].strip(), text[start + len(_THOUGHT) : end].strip())
        return [found] if all(found) else []


def marker(end: str) -> str | None:
    r"""The text that ends a turn if no token of its own does: a tag at its start, or its first line.

    `None` if nothing is long enough to be told from an answer's own words.

    >>> marker("<|end|>\n<|user|>"), marker("\n\nUSER: "), marker("[/A] next"), marker(".\n\nUser:")
    ('<|end|>', 'USER:', '[/A]', '.\n\nUser:')
    >>> marker("-") is None
    True
    """
    text = end.strip()
    line = text.splitlines()[0].strip()
    if (tag := re.match(r"<[^<>\s]+>|\[[^\[\]\s]+\]", line)) is not None:
        return tag.group()
    is_told_apart = len(line) >= _MARKER_LENGTH and any(map(str.isalnum, line))
    found = line if is_told_apart else text
    return found if len(found) >= _MARKER_LENGTH else None


def _passed(said: Sequence[dict[str, str]], answer: str | None, user: bool, assistant: bool) -> list[Message]:
    messages = [*said, *([] if answer is None else [{"role": "assistant", "content": answer}])]
    found: list[Message] = []
    for message in messages:
        as_parts = assistant if message["role"] == "assistant" else user
        text = message["content"]
        found.append({**message, "content": [{"type": "text", "text": text}] if as_parts else text})
    return found


def _around(template: Template, messages: Sequence[Message], answer: str) -> Around:
    text = template.render(messages)
    if re.search(r"""(["'])type\1: (["'])text\2""", text):
        raise CannotRender("it writes a list of parts as Python writes it")
    start = text.rfind(answer)
    if start < 0:
        raise CannotRender("the answer is not in what it writes")
    return Around(text[:start], text[start + len(answer) :])


def _lost(text: str, said: Sequence[dict[str, str]]) -> str | None:
    """The part of a conversation that is missing from a text, in words; `None` if all of it is there."""
    words = {"system": "the system text", "user": "the question", "assistant": "an earlier answer"}
    for number, message in enumerate(said, 1):
        content = message["content"]
        if message["role"] == "assistant":  # templates remove the thoughts of earlier turns, as they should
            for opened, closed in THOUGHTS:
                content = re.sub(f"{re.escape(opened)}.*?{re.escape(closed)}", "", content, flags=re.DOTALL)
        missing = next((line.strip() for line in content.splitlines() if line.strip() not in text), None)
        if missing is not None:
            what = words.get(message["role"], f"what {message['role']} says")
            if message["role"] == "user" and number < len(said):
                what = "an earlier turn of the user"
            return f'{what} is not in what it writes ("{missing[:60]}")'
    return None


def _is_closed(head: str) -> bool:
    return head.rstrip().endswith(CLOSERS)
