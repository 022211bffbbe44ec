"""`driftwatch runs`: what is in a folder of runs."""

import json
from pathlib import Path

import click

from driftwatch.store import RunStore, find_runs


@click.group()
def command() -> None:
    """List and show runs."""


@command.command("list")
@click.argument("folder", type=click.Path(path_type=Path), default="driftwatch-runs")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def list_runs(folder: Path, as_json: bool) -> None:
    """The runs in FOLDER, newest first."""
    rows = [_row(store) for store in find_runs(folder)]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo(f"no runs in {folder} yet; a run appears with its first look")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("run", "state", "looks", "step", "attempts", "model", "pack")
    for row in rows:
        table.add_row(*("–" if value is None else str(value) for value in row.values()))
    Console().print(table)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The last record as JSON instead of a table.")
def show(folder: Path, as_json: bool) -> None:
    """The last look of the run in FOLDER: how far each topic is from the baselines."""
    store = RunStore(folder)
    info, records = store.info(), store.records()
    if as_json:
        from driftwatch.record import to_json

        click.echo(to_json({"info": info, "state": store.state(), "record": records[-1] if records else None}).decode())
        return
    from rich.console import Console

    from driftwatch.cli.tables import drift_table

    console = Console()
    console.print(f"run {info.run}: {store.state()}, {len(records)} looks, model {info.model}, pack {info.pack}")
    for note in info.notes:
        console.print(f"note: {note}")
    looked = [record for record in records if record.drifts]
    if not looked:
        console.print("no look has succeeded yet" if records else "there is no look yet")
        return
    console.print(drift_table(info, looked[-1]))


def _row(store: RunStore) -> dict[str, str | int | None]:
    info, records = store.info(), store.records(superseded=True)
    return {
        "run": info.run,
        "state": store.state(),
        "looks": len(records),
        "step": records[-1].step if records else None,
        "attempts": 1 + max((record.attempt for record in records), default=0),
        "model": info.model,
        "pack": f"{info.pack} {info.pack_version}",
    }
