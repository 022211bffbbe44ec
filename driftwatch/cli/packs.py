"""`driftwatch packs`: lists, shows, checks, samples and compares topic packs."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from driftwatch.cli import pack_text
from driftwatch.errors import DriftwatchError
from driftwatch.topics import load_pack
from driftwatch.topics.lint.balance import balances
from driftwatch.topics.lint.check import check, usable_by
from driftwatch.topics.lint.diff import diff
from driftwatch.topics.lint.similar import NearPairs
from driftwatch.topics.lint.stratify import stratified
from driftwatch.topics.loader import pack_names, read_pack, whole
from driftwatch.topics.topic import Topic, TopicPack

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_column_option = click.option(
    "--column", "columns", multiple=True, metavar="FIELD=NAME", help="For tables: the column that holds a field."
)
_split_option = click.option("--split", default="train", show_default=True, help="For data sets: the split to read.")


@click.group("packs")
def command() -> None:
    """List, show, check, sample and compare topic packs.

    PACK is the name of a built-in or installed pack, a YAML file, a folder with pack.yaml, a JSON, JSONL or CSV file,
    or, with --column, a data set.
    """


@command.command("list")
@_json_option
def list_packs(as_json: bool) -> None:
    """List the built-in and installed packs."""
    rows = [_listed(name) for name in pack_names()]
    if as_json:
        pack_text.print_json(rows)
        return
    table = Table("pack", "version", "topics", "controls", "items", "language", "licence")
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], f"[red]{escape(row['error'])}[/red]")
            continue
        figures = (row["topics"], row["controls"], row["items"])
        table.add_row(row["name"], row["version"], *map(str, figures), row["language"], row["licence"])
    Console().print(table)


def _listed(name: str) -> dict[str, Any]:
    try:
        return {"name": name, **pack_text.header(load_pack(name))}
    except DriftwatchError as err:  # one broken package must not hide the others
        return {"name": name, "error": str(err)}


@command.command("show")
@click.argument("pack")
@click.argument("topic", required=False)
@_column_option
@_split_option
@_json_option
def show(pack: str, topic: str | None, columns: tuple[str, ...], split: str, as_json: bool) -> None:
    """Show what a pack holds; with TOPIC, every item of that topic."""
    draft = read_pack(pack, columns=_columns(columns), split=split)
    loaded = whole(draft, pack)
    if topic is not None:
        _show_topic(_topic(loaded, topic), as_json)
        return
    if as_json:
        topics = [pack_text.topic_header(t) for t in loaded]
        words = {"title": draft.title, "description": draft.description}
        pack_text.print_json({**pack_text.header(loaded), **words, "usable_by": usable_by(loaded), "by_topic": topics})
        return
    console = Console()
    console.print(f"[bold]{escape(loaded.id)}[/bold] {escape(loaded.version)}  {loaded.digest}")
    console.print(escape(f"{loaded.language} · {loaded.licence} · {loaded.source}"))
    for text in filter(None, (draft.title, draft.description)):
        console.print(escape(text))
    table = Table("topic", "items", "control", "support", "oppose")
    for t in loaded:
        row = (t.id, str(len(t.items)), "yes" if t.control else "", *t.poles)
        table.add_row(*map(escape, row))
    console.print(table)
    for line in usable_by(loaded):
        console.print(escape(line))


def _show_topic(topic: Topic, as_json: bool) -> None:
    if as_json:
        pack_text.print_json(
            {**pack_text.topic_header(topic), "by_item": [pack_text.item_fields(item) for item in topic.items]}
        )
        return
    console = Console()
    control = ", a control" if topic.control else ""
    console.print(f"[bold]{escape(topic.title)}[/bold]: {escape(' – '.join(topic.poles))}{control}")
    table = Table("item", f"toward {escape(topic.poles[0])}", f"toward {escape(topic.poles[1])}", "open question")
    for item in topic.items:
        first, second = item.sides or ("", "")
        table.add_row(*map(escape, (item.id, first, second, item.question or "")), end_section=True)
    console.print(table)
    balance = Table("wording", *map(escape, topic.poles))
    for feature, first_count, second_count in balances(topic):
        balance.add_row(escape(feature), str(first_count), str(second_count))
    console.print(balance)


@command.command("check")
@click.argument("pack")
@_column_option
@_split_option
@click.option("--strict", is_flag=True, help="Exit non-zero on warnings too.")
@click.option(
    "--encoder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a sentence encoder for near duplicates.  [default: an installed one]",
)
@click.option("--all", "show_all", is_flag=True, help="Print every finding, not the first 20 of each kind.")
@click.option("--no-encoder", is_flag=True, help="Find near duplicates by shared words only; loads no model.")
@_json_option
@click.pass_context
def check_pack(
    ctx: click.Context,
    pack: str,
    columns: tuple[str, ...],
    split: str,
    strict: bool,
    encoder: Path | None,
    show_all: bool,
    no_encoder: bool,
    as_json: bool,
) -> None:
    """List faults and oddities of a pack, by item and line.

    Exit code 1: there are errors, which make measurements wrong. 0: there are none, or warnings only, which a person
    should look at.
    """
    draft = read_pack(pack, columns=_columns(columns), split=split)
    near_pairs = None if no_encoder or draft.pack is None else _near_pairs(encoder)
    findings = check(draft, near_pairs)
    errors = [finding for finding in findings if finding.severity == "error"]
    warnings = [finding for finding in findings if finding.severity == "warning"]
    usable = usable_by(draft.pack) if draft.pack else ["Nothing can use this pack: no topic could be read."]
    method = "embeddings" if near_pairs else "shared words"
    if as_json:
        report = {
            "pack": pack_text.header(draft.pack) if draft.pack else None,
            "errors": [pack_text.finding_fields(finding) for finding in errors],
            "warnings": [pack_text.finding_fields(finding) for finding in warnings],
            "usable_by": usable,
            "notes": list(draft.notes),
            "near_duplicates_by": method,
        }
        pack_text.print_json(report)
    else:
        pack_text.print_findings("error", errors, show_all=show_all)
        pack_text.print_findings("warning", warnings, show_all=show_all)
        console = Console()
        for line in (*draft.notes, *usable):
            console.print(escape(line))
        size = f"items {draft.pack.num_items}, topics {len(draft.pack.topics)}, " if draft.pack else ""
        console.print(escape(f"{pack}: {size}errors {len(errors)}, warnings {len(warnings)}."))
        if near_pairs is None and draft.pack is not None:
            console.print(escape(f"Near duplicates were sought by shared words. {_encoder_hint(no_encoder)}".strip()))
    if errors or (strict and warnings):
        ctx.exit(1)


def _near_pairs(folder: Path | None) -> NearPairs | None:
    from driftwatch.topics.lint.embeddings import Encoder, installed_folder

    folder = folder or installed_folder()
    if folder is None:
        return None
    try:
        from transformers.utils import logging as transformers_logging
    except ImportError:
        return None
    transformers_logging.disable_progress_bar()  # it would appear between the findings
    near_pairs: NearPairs = Encoder(folder).near_pairs
    return near_pairs


def _encoder_hint(switched_off: bool) -> str:
    if switched_off:
        return ""
    from driftwatch.topics.lint.embeddings import INSTALL_HINT

    return f"With a sentence encoder more are found: {INSTALL_HINT} (needs transformers)."


@command.command("sample")
@click.argument("pack")
@click.option("-n", "--number", type=click.IntRange(1), default=10, show_default=True, help="Number of items.")
@click.option("--topic", help="Topic to draw from.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed draws the same items.")
@_column_option
@_split_option
@_json_option
def sample(
    pack: str, number: int, topic: str | None, seed: int, columns: tuple[str, ...], split: str, as_json: bool
) -> None:
    """Print random items as the model is asked them, to read aloud before trusting a pack."""
    loaded = load_pack(pack, columns=_columns(columns), split=split)
    topics = loaded.topics if topic is None else (_topic(loaded, topic),)
    rng = random.Random(seed)
    pool = [(t, item) for t in topics for item in t.items]
    drawn = rng.sample(pool, min(number, len(pool)))
    orders = [rng.randrange(2) for _ in drawn]
    if as_json:
        rows = zip(drawn, orders, strict=True)
        pack_text.print_json(
            [{"topic": t.id, "order": order, **pack_text.item_fields(item)} for (t, item), order in rows]
        )
        return
    for (t, item), order in zip(drawn, orders, strict=True):
        click.secho(f"{t.title} / {item.id}", bold=True)
        click.echo(pack_text.asked(item, order) + "\n")


@command.command("subset")
@click.argument("pack")
@click.option("-n", "--number", type=click.IntRange(1), default=12, show_default=True, help="Items per topic.")
@click.option("--id", "pack_id", required=True, help="Id of the new pack.")
def subset(pack: str, number: int, pack_id: str) -> None:
    """Print a smaller pack as YAML: about NUMBER items per topic, spread over its matters and balanced in wording."""
    loaded = load_pack(pack)
    header = {
        "id": pack_id,
        "version": "1.0.0",
        "language": loaded.language,
        "licence": loaded.licence,
        "source": f"A stratified subset of {loaded.id} {loaded.version}.",
        "subset_of": pack,
    }
    lines = [f"{key}: {pack_text.scalar(value)}" for key, value in header.items()]
    lines.append("select:")
    for topic_id, items in stratified(loaded, number).items():
        lines += [f"  {topic_id}:", *(f"    - {pack_text.scalar(item)}" for item in items)]
    click.echo("\n".join(lines))


@command.command("diff")
@click.argument("before")
@click.argument("after")
@_json_option
def diff_packs(before: str, after: str, as_json: bool) -> None:
    """Show what changed between two packs, whether runs can be compared, and which part of the version to raise."""
    old, new = load_pack(before), load_pack(after)
    found = diff(old, new)
    verdict = (
        "Both ask the same: runs with one can be compared with runs with the other."
        if found.comparable
        else "They ask different things, so driftwatch refuses to compare runs across them; "
        f"{found.num_shared} items are asked alike in both."
    )
    if as_json:
        changes = [
            {"kind": c.kind, "what": c.what, "id": c.id, "bump": c.bump, "detail": c.detail} for c in found.changes
        ]
        pack_text.print_json(
            {
                "before": pack_text.header(old),
                "after": pack_text.header(new),
                "comparable": found.comparable,
                "shared_items": found.num_shared,
                "bump": found.bump,
                "changes": changes,
            }
        )
        return
    console = Console()
    if found.changes:
        table = Table("change", "what", "id", "version", "detail")
        for change in found.changes:
            table.add_row(*map(escape, (change.kind, change.what, change.id, change.bump, change.detail)))
        console.print(table)
    console.print(escape(verdict))
    console.print(f"Version part to raise: {found.bump} (from {old.version}; the second pack says {new.version}).")


def _columns(pairs: Sequence[str]) -> dict[str, str] | None:
    columns = {}
    for pair in pairs:
        field, equals, name = pair.partition("=")
        if not (field and equals and name):
            raise click.BadParameter(f'expected FIELD=NAME, found "{pair}"; for example --column question=input.')
        columns[field] = name
    return columns or None


def _topic(pack: TopicPack, topic_id: str) -> Topic:
    try:
        return pack.topic(topic_id)
    except KeyError:
        known = ", ".join(t.id for t in pack)
        raise click.BadParameter(f'expected a topic of "{pack.id}" ({known}), found "{topic_id}".') from None
