"""The chat template that training uses: where to find it, and how it is rendered under a clock that stands still.

A processor may have it while the tokenizer inside has none, it may be one of several with names, or the tokenizer may
have its own `apply_chat_template`. Whatever it raises becomes `CannotRender`.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from driftwatch.chat.clock import FROZEN, OTHER, standing_still, written_in
from driftwatch.errors import ConfigError

logger = logging.getLogger(__name__)

Message = dict[str, Any]


class CannotRender(Exception):
    """A template refused some conversation; the message quotes its error."""


def text_tokenizer(given: Any) -> Any:
    """The tokenizer of text: `given` itself, or the one inside a processor of a multimodal model.

    Mistral's own tokenizer has something else under the same name, which cannot be called.
    """
    inner = getattr(given, "tokenizer", None)
    return inner if callable(inner) and hasattr(inner, "convert_tokens_to_ids") else given


class Template:
    """A Jinja template, rendered as `apply_chat_template` renders it, except for the clock.

    Args:
        given: The tokenizer or processor that training uses.
        source: The template's text.
        name: What messages call it.

    Attributes:
        source: The template's text.
        name: What messages call it.
        asks_for_the_time: Whether what it writes depends on the clock.
    """

    def __init__(self, given: Any, source: str, name: str) -> None:
        self.source, self.name = source, name
        self.asks_for_the_time = False
        self._given = given
        self._special_tokens = dict(getattr(text_tokenizer(given), "special_tokens_map", None) or {})
        self._compiled = _compiled(source, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy compiles the template anew, since what is compiled cannot be copied."""
        return Template, (self._given, self.source, self.name), {"asks_for_the_time": self.asks_for_the_time}

    def render(self, messages: Sequence[Message], *, at: datetime | None = FROZEN, **variables: Any) -> str:
        """The conversation as text.

        Args:
            messages: Messages whose content is a string or a list of parts.
            at: The time that the clock shows; `None` for the real time.
            variables: Variables as for `apply_chat_template`, for example `add_generation_prompt`.

        Raises:
            CannotRender: The template raised, or the tokenizer's own `apply_chat_template` did.
        """
        settings: dict[str, Any] = {"add_generation_prompt": False, **variables}
        try:
            if self._compiled is None:
                return str(self._given.apply_chat_template(list(messages), tokenize=False, **settings))
            if at is not None:
                settings["strftime_now"] = standing_still(at)
            given = {"messages": list(messages), "tools": None, "documents": None}
            return str(self._compiled.render(**{**self._special_tokens, **given, **settings}))
        except Exception as err:  # a template can be anybody's code: Jinja's errors, TypeError, IndexError, its own
            raise CannotRender(f"{type(err).__name__}: {err}") from err

    def prove(self, messages: Sequence[Message]) -> None:
        """Check that this is what training renders, and that no date in it changes from day to day.

        Raises:
            ConfigError: It shows today's date although the clock stands still.
        """
        if self._compiled is not None and not self._as_training_does(messages):
            logger.debug("%s is rendered by the tokenizer's own apply_chat_template", self.name)
            self._compiled = None
        text = self.render(messages)
        self.asks_for_the_time = self._compiled is not None and self.render(messages, at=OTHER) != text
        today = written_in(text, date.today())  # noqa: DTZ011 - of this machine, as templates are shown it
        if today is not None and today not in self.source:
            raise ConfigError(
                f"expected {self.name} to take the date from strftime_now, which driftwatch holds still; found today's "
                f'date ("{today}") in the prompt all the same, so every day would ask another question. Give the '
                "tokenizer a template without a date, or with strftime_now."
            )

    def _as_training_does(self, messages: Sequence[Message]) -> bool:
        """Whether Jinja alone gives what `apply_chat_template` gives by the real clock; tried twice, for midnight."""
        for _ in range(2):
            try:
                theirs = self._given.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=False)
            except Exception:  # noqa: BLE001 - training could not call it in this way either: nothing to compare with
                return True
            if theirs == self.render(messages, at=None):
                return True
        return False


def find_template(given: Any) -> Template | None:
    """The template that training with this tokenizer or processor renders; `None` if there is none.

    Raises:
        ConfigError: There are several and none is the default, or the template cannot be read.
    """
    inner = text_tokenizer(given)
    for owner in (given,) if inner is given else (given, inner):
        found = getattr(owner, "chat_template", None)
        name = _name(owner)
        if isinstance(found, Mapping) and found:
            if "default" not in found:
                names = ", ".join(map(str, found))
                raise ConfigError(
                    f'expected one chat template, or one of the name "default"; found {names} on {name}, and training '
                    "would not know which to take either. Choose one: tokenizer.chat_template = "
                    f"tokenizer.chat_template[{next(iter(found))!r}]."
                )
            found = found["default"]
        if not isinstance(found, (str, Mapping, type(None))):
            raise ConfigError(
                f"expected a chat template as text, or several by name; found {type(found).__name__} on {name}. "
                "Set tokenizer.chat_template to the text of one."
            )
        if isinstance(found, str) and found:
            return Template(given, found, f"the chat template of {name}")
    return None


def _name(owner: Any) -> str:
    path = getattr(owner, "name_or_path", None) or getattr(text_tokenizer(owner), "name_or_path", None)
    return f"{type(owner).__name__} {path}" if path else type(owner).__name__


def _compiled(source: str, name: str) -> Any:
    """The template as transformers compiles it, with filters and sandbox; `None` if its function is not found."""
    from transformers.utils import chat_template_utils

    compile_template = getattr(chat_template_utils, "_compile_jinja_template", None)
    if compile_template is None:
        return None
    try:
        return compile_template(source)
    except Exception as err:
        raise ConfigError(
            f"expected a chat template in Jinja; found that {name} cannot be read ({type(err).__name__}: {err}). "
            "Correct tokenizer.chat_template."
        ) from err
