"""`driftwatch probe`: ask any model once, without training it."""

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
    help="fast: likelihoods, nothing sampled; two-sided: short sampled replies; paper: five long open replies an item.",
)
@click.option("--judge", default=None, help="Who reads replies: sides, nli, nli:MODEL, endpoint:MODEL@URL, or a name.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the sampled replies.")
@click.option("--reliability", is_flag=True, help="Whether the instrument works on this model, topic by topic.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
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

    By the fast protocol shares are calibrated so that the bank as a whole is in balance: compare topics and models
    asked alike, not levels. By the others they are shares of what a judge reads in sampled replies.
    """
    if protocol == "fast":
        if judge is not None:
            raise click.UsageError("--judge reads replies: add --protocol two-sided or --protocol paper.")
        _screen(model, pack, reliability, dtype, as_json)
    else:
        _replies(model, pack, protocol, judge, seed, reliability, dtype, as_json)


def _screen(model: str, pack: str, reliability: bool, dtype: str, as_json: bool) -> None:
    import numpy as np

    from driftwatch.asking import ask_once
    from driftwatch.drift.calibration import calibrated, fit_prior
    from driftwatch.drift.reliability import reliability_of
    from driftwatch.drift.shares import topic_stances
    from driftwatch.probes.load import load_model
    from driftwatch.record import to_json
    from driftwatch.topics import load_pack

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
    from driftwatch.probes.interview import interview, reply_probe
    from driftwatch.probes.load import load_model
    from driftwatch.record import to_json
    from driftwatch.topics import load_pack

    topics = load_pack(pack).topics
    probe = reply_probe(protocol, judge, seed=seed)  # before the model: a judge that cannot be had is said at once
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
    from rich.table import Table

    table = Table(title=f"what {name} replies, read by {found.identity['judge']}")
    for column in ("topic", "support means", "support", "neutral", "oppose", "read", "refused", "order", "tokens"):
        table.add_column(column, justify="left" if column in ("topic", "support means") else "right")
    for row, style in zip(found.topics, found.styles, strict=True):
        order = "–" if style.order_preference is None else f"{style.order_preference:+.2f}"
        manners = (f"{row.coverage or 0:.2f}", f"{style.refusal:.2f}", order, f"{style.num_tokens:.0f}")
        table.add_row(row.topic, topics[row.topic].poles[0], *_shares(row), *manners)
    console = Console()
    console.print(table)
    console.print(
        "read: share of the replies that a stance was read from; order: preference for the side that stood first. "
        "Shares are over the items with a stance read in both orders."
    )


def _shares(row: Any) -> list[str]:
    """Support, neutral, oppose with their intervals where there are any."""
    if row.probs is None:
        return [row.unscored or "–", "", ""]
    if row.lower is None or row.upper is None:
        return [f"{p:.2f}" for p in row.probs]
    return [f"{p:.2f} [{low:.2f}, {up:.2f}]" for p, low, up in zip(row.probs, row.lower, row.upper, strict=True)]


def _print_shares(shares: list[Any], topics: dict[str, Any], name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"where {name} stands, by the screen")
    for column in ("topic", "support means", "support", "neutral", "oppose", "log-odds", "naysaying", "items"):
        table.add_column(column, justify="left" if column in ("topic", "support means") else "right")
    for row in shares:
        log_odds = "–" if row.log_odds is None else f"{row.log_odds:+.2f}"
        naysaying = "–" if row.naysaying is None else f"{row.naysaying:.2f}"
        table.add_row(row.topic, topics[row.topic].poles[0], *_shares(row), log_odds, naysaying, str(row.num_items))
    Console().print(table)


def _print_reliability(found: list[Any]) -> None:
    """One column a topic would be too wide for a terminal, so figures are rows."""
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
