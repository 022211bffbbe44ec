"""Writes packs and the findings in them: as JSON for programs, as lines for people."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from driftwatch.topics.lint.check import Finding
from driftwatch.topics.topic import Item, Topic, TopicPack

MAX_PRINTED = 20  # findings of one kind, since another's set of prompts may have hundreds


def header(pack: TopicPack) -> dict[str, Any]:
    """The name and size of a pack, as fields."""
    return {
        "id": pack.id,
        "version": pack.version,
        "language": pack.language,
        "licence": pack.licence,
        "source": pack.source,
        "digest": pack.digest,
        "topics": sum(not topic.control for topic in pack),
        "controls": sum(topic.control for topic in pack),
        "items": pack.num_items,
    }


def topic_header(topic: Topic) -> dict[str, Any]:
    """The fields of a topic, without its items."""
    return {
        "id": topic.id,
        "title": topic.title,
        "poles": list(topic.poles),
        "control": topic.control,
        "items": len(topic.items),
    }


def item_fields(item: Item) -> dict[str, Any]:
    """All fields of an item."""
    return {"id": item.id, "sides": list(item.sides) if item.sides else None, "question": item.question}


def finding_fields(finding: Finding) -> dict[str, Any]:
    """The fields of a finding, with its place."""
    place = finding.place
    return {
        "code": finding.code,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "topic": finding.topic,
        "item": finding.item,
        "message": finding.message,
    }


def print_json(value: Any) -> None:
    """Print a value as JSON for programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_findings(kind: str, findings: Sequence[Finding], *, show_all: bool) -> None:
    """Print errors and warnings apart, each with its file and line first, as editors and grep expect."""
    if not findings:
        return
    console = Console(soft_wrap=True, highlight=False)
    colour = {"error": "red", "warning": "yellow"}[kind]
    total = Counter(finding.code for finding in findings)
    counts = ", ".join(f"{code} {number}" for code, number in total.most_common())
    console.print(f"[bold {colour}]{kind}s: {len(findings)}[/bold {colour}] ({counts})")
    printed: Counter[str] = Counter()
    for finding in findings:
        printed[finding.code] += 1
        if printed[finding.code] <= MAX_PRINTED or show_all:
            place = f"{finding.place}: " if finding.place else ""
            about = (
                f'item "{finding.item}": ' if finding.item else f'topic "{finding.topic}": ' if finding.topic else ""
            )
            console.print(f"{escape(place)}[{colour}]{finding.code}[/{colour}]: {escape(about + finding.message)}")
        elif printed[finding.code] == MAX_PRINTED + 1:
            console.print(f"[{colour}]{finding.code}[/{colour}]: {total[finding.code] - MAX_PRINTED} more (--all)")
    console.print()


def asked(item: Item, order: int) -> str:
    """The texts with which a model is asked an item, in every form that the item has."""
    from driftwatch.topics.question import question

    framings = [question(item, "two_sided", 1 if order else 0)] if item.sides else []
    return "\n".join([*framings, *([question(item, "open", 0)] if item.question else [])])


def scalar(text: str) -> str:
    """A text as YAML: bare where it cannot be taken for a number, a yes or a no, else as JSON, which YAML reads too."""
    return text if re.fullmatch(r"[a-z]\w*_\w+", text) else json.dumps(text, ensure_ascii=False)
