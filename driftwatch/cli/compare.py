"""`driftwatch compare`: says how far apart two runs ended."""

from pathlib import Path

import click

from driftwatch.host.identity import check_comparable
from driftwatch.store.run_store import RunStore


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(first: Path, second: Path, as_json: bool) -> None:
    """Put the runs in folders FIRST and SECOND side by side, topic by topic.

    Shows how far each run moved from its own baseline, and compares the second run's model with the first's, item by
    item. Runs that were asked or judged differently are refused. This describes; `driftwatch gate` tests.
    """
    from driftwatch.record.record import to_json
    from driftwatch.report.against import compare_runs

    stores = RunStore(first), RunStore(second)
    check_comparable(stores[0].info().identity, stores[1].info().identity, whose=f"in {first}")
    found = compare_runs(*stores)
    if as_json:
        click.echo(to_json(found).decode())
        return
    from rich.console import Console
    from rich.table import Table

    from driftwatch.cli.tables import Fitted, Layout, filled, said, topic_name
    from driftwatch.wording import printable

    def figure(text: str, layout: Layout) -> str:
        return text.replace(" [", "\n[") if layout.stacked else text

    def draw(layout: Layout) -> Table:
        steps = f"{found.first.run} step {found.first_step}, {found.second.run} step {found.second_step}"
        # A list and not a dictionary, since two runs may have the same name.
        cells = [
            ("topic", [topic_name(row.topic, layout) for row in found.rows]),
            ("probe", [printable(row.probe) for row in found.rows]),
            (found.first.run, [figure(row.figures[0], layout) for row in found.rows]),
            (found.second.run, [figure(row.figures[1], layout) for row in found.rows]),
            ("second against first", [figure(row.figures[2], layout) for row in found.rows]),
        ]
        topics = [row.topic.id for row in found.rows] if layout.stacked else ()
        return filled(Table(title=said(f"net shift of the replies, score shift of the screen: {steps}")), cells, topics)

    console = Console()
    console.print(Fitted(draw))
    for part, (ours, theirs) in found.differing.items():
        console.print(said(f"they differ in {part}: {ours} and {theirs}"))
