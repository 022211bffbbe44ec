"""`driftwatch probe`: ask any model once, without training it."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("model")
@click.option("--pack", default="core", show_default=True, help="Topic pack: a name, a file or a folder.")
@click.option("--reliability", is_flag=True, help="Whether the instrument works on this model, topic by topic.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def command(model: str, pack: str, reliability: bool, dtype: str, as_json: bool) -> None:
    """Ask MODEL (a folder, a hub id, or "smollm2") with the screen and print where it stands on every topic.

    Shares are calibrated so that the bank as a whole is in balance: compare topics and models asked alike, not levels.
    """
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


def _print_shares(shares: list[Any], topics: dict[str, Any], name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"where {name} stands, by the screen")
    for column in ("topic", "support means", "support", "neutral", "oppose", "log-odds", "naysaying", "items"):
        table.add_column(column, justify="left" if column in ("topic", "support means") else "right")
    for row in shares:
        if row.probs is None or row.lower is None or row.upper is None:
            cells = [row.unscored or "–", "", ""] if row.probs is None else [f"{p:.2f}" for p in row.probs]
        else:
            ends = zip(row.probs, row.lower, row.upper, strict=True)
            cells = [f"{p:.2f} [{low:.2f}, {up:.2f}]" for p, low, up in ends]
        log_odds = "–" if row.log_odds is None else f"{row.log_odds:+.2f}"
        naysaying = "–" if row.naysaying is None else f"{row.naysaying:.2f}"
        table.add_row(row.topic, topics[row.topic].poles[0], *cells, log_odds, naysaying, str(row.num_items))
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
