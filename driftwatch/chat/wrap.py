"""Wrap: the user's own training context around every question."""

from dataclasses import dataclass

from driftwatch.errors import ConfigError


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
