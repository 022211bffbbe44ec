"""Wrap is the user's own training context around every question."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from driftwatch.documents.checking import check


@dataclass(frozen=True, slots=True)
class Wrap:
    """The user's own training context around every question, since drift can be conditional on it.

    Raises:
        ConfigError: The template has no place for the question.
    """

    system: Annotated[str | None, Meta(description="A system prompt, or `None`.")] = None
    turns: Annotated[tuple[tuple[str, str], ...], Meta(description="Earlier turns as (role, content) pairs.")] = ()
    template: Annotated[
        str,
        Meta(
            title='a text with "{question}" where the question goes',
            pattern=r"\{question\}",
            description="A text with `{question}` in it.",
        ),
    ] = "{question}"

    def __post_init__(self) -> None:
        check(self)

    def messages(self, text: str) -> list[dict[str, str]]:
        """The conversation that ends with the question."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        turns = [{"role": role, "content": content} for role, content in self.turns]
        return [*system, *turns, {"role": "user", "content": self.template.replace("{question}", text)}]
