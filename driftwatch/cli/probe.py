"""`driftwatch probe`: asks any model once, without training it."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("model")
@click.option("--pack", default="core", show_default=True, help="Topic pack: a name, a file or a folder.")
@click.option(
    "--protocol",
    type=click.Choice(["fast", "two-sided", "paper"]),
    default="fast",
    show_default=True,
    help="fast: likelihoods only; two-sided: short sampled replies; paper: five long open replies per item.",
)
@click.option(
    "--judge", default=None, help="Judge of the replies: sides, nli, nli:MODEL, endpoint:MODEL@URL, or a name."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the sampled replies.")
@click.option("--reliability", is_flag=True, help="Print, topic by topic, whether the instrument works on this model.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    model: str,
    pack: str,
    protocol: str,
    judge: str | None,
    seed: int,
    reliability: bool,
    dtype: str,
    as_json: bool,
) -> None:
    """Ask MODEL (a folder, a hub id, or "smollm2") and print where it stands on every topic.

    With the fast protocol, shares are calibrated so that the bank as a whole is balanced, so compare topics, or models
    that were asked alike, but not levels. With the others they are shares of a judge's judgements on sampled replies.
    """
    if protocol == "fast":
        if judge is not None:
            raise click.UsageError("--judge reads replies: add --protocol two-sided or --protocol paper.")
        _screen(model, pack, reliability, dtype, as_json)
    else:
        _replies(model, pack, protocol, judge, seed, reliability, dtype, as_json)


def _screen(model: str, pack: str, reliability: bool, dtype: str, as_json: bool) -> None:
    import numpy as np

    from driftwatch.drift.calibration import calibrated, fit_prior
    from driftwatch.drift.reliability import reliability_of
    from driftwatch.drift.shares import topic_stances
    from driftwatch.host.load import load_model
    from driftwatch.record.record import to_json
    from driftwatch.topics import load_pack
    from driftwatch.watch.instrument import ask_once

    topics = load_pack(pack).topics
    loaded = load_model(model, dtype=dtype)  # type: ignore[arg-type] # click.Choice allows these words only
    baseline = ask_once(loaded.model, loaded.tokenizer, pack, model_name=model)
    stances = calibrated(baseline.stances, fit_prior(baseline.stances))
    found = reliability_of(stances, topics)
    shares = topic_stances(stances, np.random.default_rng(0))
    if as_json:
        click.echo(to_json({"model": model, "identity": baseline.identity, "topics": shares, "reliability": found}))
        return
    if reliability:
        _print_reliability(found)
        return
    _print_shares(shares, {topic.id: topic for topic in topics}, Path(model).name)


def _replies(
    model: str,
    pack: str,
    protocol: Any,
    judge: str | None,
    seed: int,
    reliability: bool,
    dtype: Any,
    as_json: bool,
) -> None:
    from driftwatch.host.load import load_model
    from driftwatch.probes.interview import interview, reply_probe
    from driftwatch.record.record import to_json
    from driftwatch.topics import load_pack

    topics = load_pack(pack).topics
    probe = reply_probe(protocol, judge, seed=seed)  # before the model, so that a missing judge is reported at once
    loaded = load_model(model, dtype=dtype)
    found = interview(loaded.model, loaded.tokenizer, topics, probe)
    if as_json:
        parts = {"topics": found.topics, "styles": found.styles, "reliability": found.reliability}
        click.echo(to_json({"model": model, "protocol": protocol, "identity": found.identity, **parts}))
        return
    if reliability:
        _print_reliability(found.reliability)
        return
    _print_replies(found, {topic.id: topic for topic in topics}, f"{Path(model).name}, {protocol}")


def _print_replies(found: Any, topics: dict[str, Any], name: str) -> None:
    from rich.console import Console

    table = _table(
        f"what {name} replies, read by {found.identity['judge']}", "read", "steady", "refused", "order", "tokens"
    )
    for row, style, trust in zip(found.topics, found.styles, found.reliability, strict=True):
        figures = (f"{row.coverage or 0:.2f}", _figure(trust.reply_consistency), f"{style.refusal:.2f}")
        manners = (_figure(style.order_preference, sign=True), f"{style.num_tokens:.0f}")
        table.add_row(_topic(row, topics), *_shares(row), *figures, *manners)
    console = Console()
    console.print(table)
    _print_missing(found.topics, console)
    unresolved = [entry.topic for entry in found.reliability if entry.unresolved is not None]
    console.print(
        "read: share of the replies that a stance was read from; steady: share of the items whose answer stays when "
        "the sides change places; order: preference for the side that stood first. Shares are over the items with a "
        "stance read in both orders, their 95 % intervals over items. "
        f"Left out of alerts, for want of resolution: {', '.join(unresolved) or 'no topic'}."
    )


def _table(title: str, *columns: str) -> Any:
    """A table of topics, the three shares, and further columns; each row has two lines, so that it fits a terminal."""
    from rich.table import Table

    # Padding on one side only leaves room for the names, which must not be cut.
    table = Table(title=title, pad_edge=False, collapse_padding=True)
    table.add_column("topic", overflow="fold", min_width=len("topic"))
    for column in ("support", "neutral", "oppose", *columns):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _topic(row: Any, topics: dict[str, Any]) -> str:
    return f"{row.topic}\n[dim]+ {topics[row.topic].poles[0]}[/dim]"


def _shares(row: Any) -> list[str]:
    """Support, neutral and oppose, each above its interval where there is one."""
    if row.probs is None:
        return ["–", "–", "–"]
    if row.lower is None or row.upper is None:
        return [f"{p:.2f}" for p in row.probs]
    return [
        f"{p:.2f}\n[dim]{low:.2f}–{up:.2f}[/dim]" for p, low, up in zip(row.probs, row.lower, row.upper, strict=True)
    ]


def _print_missing(shares: list[Any], console: Any) -> None:
    """Print why topics have no shares, with the reason of their first item."""
    missing: dict[str, list[str]] = {}
    for row in shares:
        if row.probs is None:
            missing.setdefault(row.unscored, []).append(row.topic)
    for reason, topics in missing.items():
        console.print(f"Not one item has a figure on {', '.join(topics)}; the first item: {reason}.")


def _figure(value: float | None, *, sign: bool = False) -> str:
    return "–" if value is None else f"{value:{'+' if sign else ''}.2f}"


def _print_shares(shares: list[Any], topics: dict[str, Any], name: str) -> None:
    from rich.console import Console

    table = _table(f"where {name} stands, by the screen", "log-odds", "naysaying", "items")
    for row in shares:
        figures = (_figure(row.log_odds, sign=True), _figure(row.naysaying), str(row.num_items))
        table.add_row(_topic(row, topics), *_shares(row), *figures)
    console = Console()
    console.print(table)
    _print_missing(shares, console)


def _print_reliability(found: list[Any]) -> None:
    """Print the figures as rows, since a column for each would be too wide for a terminal."""
    from rich.console import Console
    from rich.table import Table

    from driftwatch.drift.reliability import reliability_table

    header, rows = reliability_table(found)
    console = Console()
    for row in rows:
        table = Table(show_header=False, title=row[0], title_justify="left", box=None)
        for name, cell in zip(header[1:], row[1:], strict=True):
            table.add_row(name, cell)
        console.print(table)
    unresolved = [entry.topic for entry in found if entry.unresolved is not None]
    console.print(f"left out of alerts: {', '.join(unresolved) or 'no topic'}")
