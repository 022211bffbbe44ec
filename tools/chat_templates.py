"""`python -m tools.chat_templates`: tries every chat template that the installed TRL ships, as a run tries its own.

Results go to docs/compat/templates.json, from which the table in docs/trainers.md is made.
"""

import re
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import click
import msgspec

from driftwatch.errors import ConfigError

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "compat" / "templates.json"
_ALSO_TOKENS = ("</s>", "<eos>", "<end_of_turn>")  # tokens that templates write through a variable or in pieces


class TemplateRow(msgspec.Struct, frozen=True):
    """The results for one template.

    Attributes:
        content: How content has to be passed so that the question is rendered, "text" or "parts".
        dropped: The end of its generation prompt that training does not render before an answer.
        added: The text that training renders before an answer instead.
        ends: The text that ends the assistant's turn.
        dated: Whether it writes the date.
        proved: Whether answers are scored in the tokens of `apply_chat_template`.
        refused: The sentence with which it is refused; the other attributes then say nothing.
    """

    name: str
    content: str = ""
    dropped: str = ""
    added: str = ""
    ends: tuple[str, ...] = ()
    dated: bool = False
    proved: bool = False
    refused: str | None = None


class Templates(msgspec.Struct, frozen=True):
    """The results for all templates, with the version of TRL that ships them."""

    trl: str
    rows: tuple[TemplateRow, ...]


def sources() -> dict[str, str]:
    """The templates of the installed TRL by name, without its patches for training, which render the same."""
    found = find_spec("trl")
    if found is None or found.origin is None:
        return {}
    paths = sorted((Path(found.origin).parent / "chat_templates").glob("*.jinja"))
    return {path.stem: path.read_text(encoding="utf-8") for path in paths if not path.stem.endswith("_training")}


def examined(name: str, source: str) -> TemplateRow:
    """Try one template on a tokenizer whose tokens include the template's tags, as in the model's own tokenizer."""
    from driftwatch.chat.format import ChatFormat
    from driftwatch.testing import tiny_tokenizer

    tokenizer = tiny_tokenizer(chat_template=source)
    tags = set(re.findall(r"<[|｜]?[\w▁]+(?:[|｜]>|>)", source)) | set(_ALSO_TOKENS)
    tokenizer.add_special_tokens({"additional_special_tokens": sorted(tags)})
    tokenizer.eos_token = "</s>"
    try:
        chat = ChatFormat(tokenizer)
    except ConfigError as err:
        return TemplateRow(name, refused=str(err))
    found = chat.rendering
    assert found is not None, "a template was given"
    return TemplateRow(
        name, found.content, found.dropped, found.added, chat.ends, found.dated, proved=found.proved is True
    )


def all_examined() -> Templates:
    """Try every template of the installed TRL."""
    return Templates(metadata.version("trl"), tuple(examined(name, source) for name, source in sources().items()))


def table(path: Path = RESULTS) -> tuple[str, list[list[str]]]:
    """The version of TRL, and one row of cells per template, for docs/trainers.md."""
    kept = msgspec.json.decode(path.read_bytes(), type=Templates)
    return kept.trl, [_cells(row) for row in kept.rows]


HEAD = ("template", "content as", "before an answer", "ends a turn", "date", "answers in training's tokens")


def _cells(row: TemplateRow) -> list[str]:
    if row.refused is not None:
        return [row.name, "refused", row.refused, "", "", ""]
    before = " ".join(
        [*([f"without {_code(row.dropped)}"] if row.dropped else []), *([_code(row.added)] if row.added else [])]
    )
    ends = " or ".join(map(_code, row.ends))
    return [row.name, row.content, before or "–", ends, "frozen" if row.dated else "–", "yes" if row.proved else "no"]


def _code(text: str) -> str:
    shown = text.replace("\n", "\\n").replace("|", "\\|")
    return f"`{shown}`" if shown.strip() else "a space"


@click.command()
def main() -> None:
    """Try the templates of the installed TRL and keep the results."""
    found = all_examined()
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    click.echo(f"{len(found.rows)} templates of TRL {found.trl}: wrote {RESULTS}")


if __name__ == "__main__":
    main()
