"""`driftwatch judge`: measures how far a judge can be trusted."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click


@click.group()
def command() -> None:
    """Check judges, which classify the replies."""


@command.command()
@click.option(
    "--judge", "spec", required=True, help="The judge: sides, nli, nli:MODEL, endpoint:MODEL@URL, or an installed name."
)
@click.option("--retest", is_flag=True, help="Judge everything twice, and count the judgements that change.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.argument("file", type=click.Path(path_type=Path))
def check(spec: str, retest: bool, as_json: bool, file: Path) -> None:
    """Score a judge on labelled replies: FILE has one JSON object a line.

    Each object has `reply`, `stance` (support, neutral, oppose, or null where a person finds none), `sides` or
    `proposition`, and optionally `order`, `question`, `refusal`, `framing`, `topic`, `poles`, `kind` and `split`. The
    parts of a split are scored apart, and so is each kind (such as "rejecting").
    """
    from driftwatch.judges.by_name import judge_by_name
    from driftwatch.judges.judging import outcome, read
    from driftwatch.judges.labelled import load_labelled
    from driftwatch.judges.scorecard import by_kind, score

    judge = judge_by_name(spec)  # before the file, so that of two mistakes the first on the command line is reported
    labelled = load_labelled(file)
    asked = [entry.asked for entry in labelled]
    readings = read(judge, asked)
    result: dict[str, Any] = {"judge": judge.id, **asdict(score(labelled, readings))}
    pairs = list(zip(labelled, readings, strict=True))
    splits = sorted({entry.split for entry in labelled if entry.split is not None})
    result["splits"] = {
        split: asdict(score(*zip(*[pair for pair in pairs if pair[0].split == split], strict=True))) for split in splits
    }
    parts = {"all": pairs, **{split: [pair for pair in pairs if pair[0].split == split] for split in splits}}
    result["kinds"] = {
        name: {kind: asdict(row) for kind, row in by_kind(*zip(*part, strict=True)).items()}
        for name, part in parts.items()
    }
    if retest:
        again = [outcome(reading) for reading in read(judge, asked)]
        result["retest_changed"] = sum(a != outcome(b) for a, b in zip(again, readings, strict=True)) / len(again)
    if as_json:
        import json

        click.echo(json.dumps(result))
        return
    _print(result)


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from driftwatch.judges.judging import OUTCOMES

    console = Console()
    cards = {"all": result, **result["splits"]}
    table = Table(title=f"{result['judge']} against the labels")
    for column in ("", *cards):
        table.add_column(column, justify="left" if not column else "right")
    names = (
        "num_replies",
        "coverage",
        "precision",
        "share_read",
        "accuracy",
        "kappa",
        "macro_f1",
        "refusal_recall",
        "drift_factor",
    )
    for name in names:
        table.add_row(name, *(_figure(card[name]) for card in cards.values()))
    for size in result["power"]:
        table.add_row(f"power, step {size}", *(_figure(card["power"][size]) for card in cards.values()))
    if "retest_changed" in result:
        table.add_row("changed on retest", _figure(result["retest_changed"]), *("" for _ in result["splits"]))
    console.print(table)
    confusion = Table(title="label → what the judge read")
    for column in ("", *OUTCOMES):
        confusion.add_column(column, justify="left" if not column else "right")
    for label, row in result["confusion"].items():
        confusion.add_row(label, *(str(row[name]) if row[name] else "·" for name in OUTCOMES))
    console.print(confusion)
    kinds = Table(title="by kind of reply: read, and right, of all")
    for column in ("", *result["kinds"]):
        kinds.add_column(column, justify="left" if not column else "right")
    for kind in result["kinds"]["all"]:
        found = [part.get(kind) for part in result["kinds"].values()]
        kinds.add_row(
            kind, *(f"{row['read']}, {row['right']} of {row['num_replies']}" if row else "–" for row in found)
        )
    console.print(kinds)


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
