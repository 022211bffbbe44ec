"""Writes prompts and answers as token ids, from a template's text or from a base model's plain prompt."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from driftwatch.chat.template import find_template, text_tokenizer
from driftwatch.chat.thoughts import THOUGHTS, Thought
from driftwatch.chat.tokens import Encoder, Ids, Scorable, Text, scorable
from driftwatch.chat.turn import ANSWERS, QUESTION, Around, Turn, marker
from driftwatch.chat.wrap import Wrap
from driftwatch.errors import ConfigError

NO_TEMPLATE = "none"
PLAIN = "Question: {question}\nAnswer:"


class Rendering(NamedTuple):
    """What was found out about a chat template by trying it.

    Attributes:
        content: How content has to be passed, "text" or "parts".
        dropped: The end of the template's generation prompt that training does not render before an answer.
        added: The text that training renders in its place, or after the prompt.
        dated: Whether it writes the date, which stands still.
        proved: Whether the tokenizer's own `apply_chat_template` gives the same tokens; `None` if it could not be
            called for a comparison.
    """

    content: str = "text"
    dropped: str = ""
    added: str = ""
    dated: bool = False
    proved: bool | None = None


# How answers may begin: some first words merge with the end of the prompt, and some do not.
_BEGINNINGS = (*ANSWERS, "Tea.", "a", "It", "My", "Both", "Yes", "No", "1", "“", '"', "É", "茶")


class Writing(Protocol):
    """What turns questions and answers into token ids.

    Attributes:
        template: The template's text, or what stands for it; hashed into the identity.
        notes: What a reader of the run should know.
        space: The space between the prompt and an answer, if the prompt does not hold it.
        thoughts: How thoughts before a reply's final words begin and end.
        rendering: What was found out about the template; `None` if there is no template.
    """

    rendering: Rendering | None
    template: str
    notes: tuple[str, ...]
    space: str
    thoughts: tuple[Thought, ...]

    def text(self, question: str) -> str:
        """The text that a reply is written after."""
        ...

    def asked(self, question: str) -> Ids:
        """The same as ids, without an end that could merge with what follows."""
        ...

    def scorables(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Scorable]:
        """Questions with their answers, in the tokens of training."""
        ...

    def ends(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The ids that end a turn, and the texts that end it if no id does."""
        ...


class PlainTurn:
    """A base model's prompt, for a tokenizer without a chat template."""

    notes: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    thoughts: tuple[Thought, ...] = THOUGHTS

    def __init__(self, wrap: Wrap) -> None:
        self._wrap = wrap

    def around(self, question: str) -> Around:
        """The prompt; an answer follows it after a space."""
        messages = self._wrap.messages(question)
        earlier = "".join(f"{message['content']}\n\n" for message in messages[:-1])
        return Around(earlier + PLAIN.format(question=messages[-1]["content"]), "", " ")

    def asked(self, question: str) -> str:
        """The prompt."""
        return self.around(question).head

    def rendered(self, question: str, answer: str) -> str:
        """Prompt and answer."""
        return self.around(question).whole(answer)


class TextWriting:
    """Writes token ids by way of text, from a template or a plain prompt.

    Args:
        given: The tokenizer or processor that training uses.
        wrap: The user's own context.

    Raises:
        ConfigError: The template cannot be used.
    """

    def __init__(self, given: Any, wrap: Wrap) -> None:
        tokenizer = text_tokenizer(given)
        found = find_template(given)
        self._tokenizer = tokenizer
        self.rendering: Rendering | None
        self._turn: Turn | PlainTurn
        special = True
        self.rendering = None
        notes: tuple[str, ...] = ()
        if found is None:
            self._turn, self.template = PlainTurn(wrap), NO_TEMPLATE
        else:
            # TRL passes content to a processor as parts.
            self._turn = turn = Turn(found, wrap, parts_first=tokenizer is not given)
            self.template = found.source
            special, proved = _adds_special_tokens(given, tokenizer, turn)
            if proved is False:
                notes = (f"{found.name}: training encodes it in a way of its own, and answers may be scored in others",)
            self.rendering = Rendering(turn.content, *turn.against_prompt(), found.asks_for_the_time, proved)
        self._encoder = Encoder(tokenizer, special=special)
        self.notes = (*self._turn.notes, *notes)
        self.space = self._turn.around("?").space
        self.thoughts = self._turn.thoughts
        self._heads: dict[str, tuple[Around, Ids]] = {}
        self._asked: dict[str, Ids] = {}
        self._loose: dict[bool, int] = {}

    def text(self, question: str) -> str:
        """See `Writing.text`."""
        return self._turn.asked(question)

    def asked(self, question: str) -> Ids:
        """See `Writing.asked`."""
        if question not in self._asked:
            ids = self._encoder.encode(self._turn.asked(question))
            self._asked[question] = ids[: len(ids) - self._loose_end(asked=True)]
        return self._asked[question]

    def scorables(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Scorable]:
        """See `Writing.scorables`.

        Raises:
            ConfigError: The template changes an answer, unlike those with which it was tried.
        """
        texts = []
        for number, (question, answers) in enumerate(asked):
            around, _ = self._head(question)
            texts += [Text(around.whole(a), len(around.head + around.space + a)) for a in answers]
            tried = answers[number % len(answers)]  # one answer per question, in turn, since a template may be slow
            if self._turn.rendered(question, tried) != around.whole(tried):
                raise ConfigError(
                    f'expected the chat template to write an answer as it stands; found that it writes "{tried[:60]}" '
                    "in another way. Give the tokenizer a template that does not change what the assistant says."
                )
        wholes = iter(self._encoder.up_to(texts))
        found = []
        for question, answers in asked:
            _, head = self._head(question)
            at_most = len(head) - self._loose_end(asked=False)
            found.append(scorable(head, [next(wholes) for _ in answers], at_most=at_most))
        return found

    def ends(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """See `Writing.ends`."""
        ids: list[int] = []
        texts: list[str] = []
        for end in self._turn.ends:
            if (first := self._first_token(end)) is not None:
                ids.append(first)
            elif (text := marker(end)) is not None:
                texts.append(text)
        return tuple(dict.fromkeys(ids)), tuple(dict.fromkeys(texts))

    def _head(self, question: str) -> tuple[Around, Ids]:
        if question not in self._heads:
            around = self._turn.around(question)
            self._heads[question] = around, self._encoder.encode(around.head)
        return self._heads[question]

    def _loose_end(self, *, asked: bool) -> int:
        """How many tokens at the prompt's end change once an answer follows."""
        if asked not in self._loose:
            around, head = self._head(QUESTION)
            if asked:
                around = around._replace(head=self._turn.asked(QUESTION))
                head = self._encoder.encode(around.head)
            texts = [Text(around.whole(a), len(around.head + around.space + a)) for a in _BEGINNINGS]
            own = [scorable(head, [whole], at_most=len(head)).prompt for whole in self._encoder.up_to(texts)]
            self._loose[asked] = len(head) - min(map(len, own))
        return self._loose[asked]

    def _first_token(self, end: str) -> int | None:
        """The special or added token with which the end of a turn begins, white space aside; `None` if none does."""
        own = set(getattr(self._tokenizer, "all_special_ids", None) or ())
        added = getattr(self._tokenizer, "added_tokens_decoder", None) or {}
        own |= {number for number, token in added.items() if str(token).strip()}
        before: list[int] = []
        for number in self._tokenizer(end, add_special_tokens=False)["input_ids"]:
            if number in own:
                return int(number) if not self._tokenizer.decode(before).strip() else None
            before.append(number)
        return None


def _adds_special_tokens(given: Any, tokenizer: Any, turn: Turn) -> tuple[bool, bool | None]:
    """Whether training lets the tokenizer add special tokens to what the template wrote, and whether that is proved.

    It is tried on one conversation by today's clock. `None` if it could not be tried; then the usual way is taken.
    """
    messages = turn.messages(QUESTION, ANSWERS[0])
    try:
        text = given.apply_chat_template(messages, tokenize=False)
        theirs = given.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"]
    except Exception:  # noqa: BLE001 - it can be anybody's code
        return False, None
    theirs = list(theirs[0]) if len(theirs) and not isinstance(theirs[0], int) else list(theirs)
    for special in (False, True):
        if list(Encoder(tokenizer, special=special).encode(text)) == theirs:
            return special, True
    return False, False
