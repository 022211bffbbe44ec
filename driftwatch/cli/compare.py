"""`driftwatch compare`: how far apart two runs ended."""

from pathlib import Path

import click

from driftwatch.identity import check_comparable
from driftwatch.store import RunStore


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(first: Path, second: Path, as_json: bool) -> None:
    """Put the runs in folders FIRST and SECOND side by side, topic by topic.

    Each from its own baseline, and the second run's model against the first's, item by item. Runs that were asked or
    read differently are refused. This describes; `driftwatch gate` tests.
    """
    from driftwatch.record import to_json
    from driftwatch.report.against import compare_runs

    stores = RunStore(first), RunStore(second)
    check_comparable(stores[0].info().identity, stores[1].info().identity, whose=f"in {first}")
    found = compare_runs(*stores)
    if as_json:
        click.echo(to_json(found).decode())
        return
    from rich.console import Console
    from rich.table import Table

    from driftwatch.cli.tables import said, signed
    from driftwatch.drift.compare import Drift

    def figure(drift: Drift | None) -> str:
        if drift is None or (drift.score_shift is None and drift.log_odds_shift is None):
            return "–"
        ends = drift.interval
        shown = signed(drift.score_shift)
        return f"{shown} [{signed(ends.lower)}, {signed(ends.upper)}]" if ends else shown

    table = Table(
        title=said(
            f"score shift: {found.first.run} step {found.first_step}, {found.second.run} step {found.second_step}"
        )
    )
    for name in ("topic", "probe", found.first.run, found.second.run, "second against first"):
        table.add_column(said(name), justify="left" if name in ("topic", "probe") else "right")
    for row in found.rows:
        name = f"{row.topic.id} (control)" if row.topic.control else row.topic.id
        table.add_row(said(name), said(row.probe), *(figure(drift) for drift in (row.first, row.second, row.between)))
    console = Console()
    console.print(table)
    for part, (ours, theirs) in found.differing.items():
        console.print(said(f"they differ in {part}: {ours} and {theirs}"))
