"""Words that were given up occur in no text that users read: help, docs, page, report, rules, dashboards, metrics."""

import json
import re
from pathlib import Path

import click
import pytest

from driftwatch.cli import COMMANDS, group
from driftwatch.record.metrics import CATALOGUE

ROOT = Path(__file__).parents[2]
# A word, what it is called now, and after which words it is another word of English.
VERB = "like|at|for|back|as|ahead|over|up|alike|right|wrong|the|more|further|harder|into|away"
GIVEN_UP = {
    rf"\blooks?\b(?! ({VERB})\b)(?!-)": "observation",
    r"\b(a|the|last|one|every|first|each|next|whole) look (at|over|of|takes)\b": "observation",
    r"\bunread\b": "unclassified",
    r"\bmanners?\b": "response style",
    r"\bmaterial\b(?! has)": "beyond tolerance",
    r"\b(put|puts) up with\b": "tolerated",
    r"\bthe others are told\b": "a sentence that says who tells whom",
    r"\bnats a token\b": "nats per token",
    r"\bdraws a topic\b": "draws per topic",
}
EVIDENCE = "docs/statistics.md"  # sequential testing says "look", and this page is about it


def docs():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        yield str(page.relative_to(ROOT)), re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def page():
    static = ROOT / "driftwatch" / "service" / "static"
    for path in sorted(
        [*static.glob("*.js"), *static.glob("*.html"), *(ROOT / "driftwatch/report/templates").glob("*")]
    ):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".js":  # what people read are strings with a space
            found = re.findall(r"\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`", text)
            text = "\n".join(one for one in found if " " in one)
            text = re.sub(r"\$\{[^}]*\}", "", text)
        yield str(path.relative_to(ROOT)), re.sub(r"\{\{.*?\}\}|\{%.*?%\}|<[^>]*>", "", text, flags=re.DOTALL)


def monitoring():
    for path in sorted((ROOT / "dashboards").glob("*.json")):
        texts = [node for node in walked(json.loads(path.read_text())) if " " in node and "driftwatch_" not in node]
        yield path.name, "\n".join(texts)
    rules = (ROOT / "deploy/prometheus/rules/driftwatch.rules.yml").read_text(encoding="utf-8")
    yield "rules", "\n".join(line for line in rules.splitlines() if "driftwatch_" not in line)


def walked(node):
    if isinstance(node, str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walked(child)


def commands(command=None, name="driftwatch"):
    command = command or group
    context = click.Context(command, info_name=name)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            yield from commands(command.get_command(context, child), f"{name} {child}")


def metrics():
    yield "metrics", "\n".join(f"{metric.name.replace('_', ' ')} {metric.help}" for metric in CATALOGUE)


TEXTS = [*docs(), *page(), *monitoring(), *commands(), *metrics()]


@pytest.mark.parametrize(("place", "text"), TEXTS, ids=[place for place, _ in TEXTS])
def test_no_word_that_was_given_up_is_read_by_users(place, text):
    for pattern, now in GIVEN_UP.items():
        if place == EVIDENCE and "look" in pattern:
            continue
        found = [line.strip()[:160] for line in text.splitlines() if re.search(pattern, line, re.IGNORECASE)]
        assert not found, f"say {now}: {found}"


def test_every_command_was_asked_for_its_help():
    assert {f"driftwatch {name}" for name in COMMANDS} <= {place for place, _ in TEXTS}
