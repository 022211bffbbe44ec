"""`driftwatch runs`: lists, shows, exports and prunes the runs in a folder."""

import json
import shutil
import time
from pathlib import Path

import click
import msgspec

from driftwatch.errors import StoreError
from driftwatch.record.decision import all_figures
from driftwatch.record.record import Record, RunInfo
from driftwatch.report.verdict import title, verdict
from driftwatch.store.run_store import RunStore, find_runs
from driftwatch.wording import STATE_WORDS, net_shift, printable


@click.group()
def command() -> None:
    """List, show, export and prune runs."""


@command.command("list")
@click.argument("folder", type=click.Path(path_type=Path), default="driftwatch-runs")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list instead of a table.")
def list_runs(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER, newest first."""
    rows = [_row(store) for store in find_runs(folder)]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo(f"no runs in {folder} yet; a run appears with its first observation")
        return
    from rich.console import Console
    from rich.table import Table

    from driftwatch.cli.tables import said

    columns = ("run", "state", "verdict", "net shift", "looks", "step", "attempts", "model", "pack")
    table = Table(*columns)
    for row in rows:
        table.add_row(*("–" if row[name] is None else said(str(row[name])) for name in columns))
    console = Console()
    console.print(table)
    for row in rows:
        if row["problem"] is not None:
            console.print(said(f"{row['run']}: {row['problem']}"))


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the last record as JSON instead of a table.")
def show(folder: Path, as_json: bool) -> None:
    """Show the last observation of the run in FOLDER: its verdict, and how far each topic is from the baselines."""
    store = RunStore(folder)
    info, records = store.info(), store.records()
    found = next((record for record in reversed(records) if record.found_anything), None)
    told = verdict(info, found)
    if as_json:
        from driftwatch.record.record import to_json

        last = records[-1] if records else None
        topics = all_figures(info, found) if found is not None else ()
        said_by = {"info": info, "state": store.state(), "verdict": told, "topics": topics, "record": last}
        click.echo(to_json(said_by).decode())
        return
    from rich.console import Console

    from driftwatch.cli.tables import drift_table, said

    console = Console()
    console.print(
        said(f"run {info.run}: {store.state()}, {len(records)} observations, model {info.model}, pack {info.pack}")
    )
    console.print(said(f"{STATE_WORDS[told.state]}: {told.headline}"))
    for sentence in told.details:
        console.print(said(f"  {sentence}"))
    for note in info.notes:
        console.print(said(f"note: {note}"))
    looked = [record for record in records if record.drifts]
    if not looked:
        console.print("no observation has succeeded yet" if records else "there is no observation yet")
        return
    console.print(drift_table(info, looked[-1]))


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write: .csv, .jsonl or .zip.")
def export(folder: Path, out: Path) -> None:
    """Write the run in FOLDER to one file.

    .csv: one line per figure (step, topic, probe, figure, value), for a spreadsheet or pandas. .jsonl: one record per
    observation. .zip: the whole folder, for `driftwatch report` or `serve` elsewhere.
    """
    from driftwatch.report.export import write_csv, write_records, write_zip

    store = RunStore(folder)
    store.info()  # raises with a sentence if there is no run
    writers = {".csv": write_csv, ".jsonl": write_records, ".zip": write_zip}
    writer = writers.get(out.suffix.lower())
    if writer is None:
        raise click.BadParameter(f"expected a .csv, .jsonl or .zip file; found {out.name!r}.", param_hint="--out")
    out.parent.mkdir(parents=True, exist_ok=True)
    count, what = writer(store, out)
    click.echo(f"wrote {count} {what} to {out}")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), default="driftwatch-runs")
@click.option("--older-than", type=click.FloatRange(min=0), help="Days since the last sign of life.")
@click.option("--keep", type=click.IntRange(min=0), help="How many of the newest ended runs to keep.")
@click.option("--yes", is_flag=True, help="Delete the runs; without it they are only listed.")
def prune(folder: Path, older_than: float | None, keep: int | None, yes: bool) -> None:
    """Delete ended runs below FOLDER that are old, or beyond a number to keep; running ones are never touched.

    With both options, a run must be both old and beyond the number.
    """
    if older_than is None and keep is None:
        raise click.UsageError("say what may go: --older-than DAYS, --keep NUMBER, or both.")
    chosen = prunable(folder, older_than_days=older_than, keep=keep, now=time.time())
    for store, seen in chosen:
        if yes:
            shutil.rmtree(store.folder)
        age = (time.time() - seen) / 86400
        done, name = "deleted" if yes else "would delete", printable(str(store.folder))
        click.echo(f"{done} {name} (last seen {age:.1f} days ago)")
    if not chosen:
        click.echo("no run fits")
    elif not yes:
        click.echo(f"nothing was deleted; repeat with --yes to delete {len(chosen)} runs")


def prunable(
    folder: Path, *, older_than_days: float | None, keep: int | None, now: float
) -> list[tuple[RunStore, float]]:
    """Ended runs right below a folder that may be deleted, the newest first, each with its last sign of life.

    Args:
        folder: Folder of runs, which is never deleted itself.
        older_than_days: Least age in days; `None` for any age.
        keep: How many of the newest ended runs stay; `None` for none.
        now: Unix time in seconds.
    """
    ended = []
    for store in find_runs(folder):
        is_within = store.folder.parent.resolve() == folder.resolve() and not store.folder.is_symlink()
        if is_within and _state(store) != "running":
            ended.append((store, _last_seen(store)))
    ended.sort(key=lambda pair: -pair[1])
    old = now - 86400 * (older_than_days or 0.0)
    return [pair for pair in ended[keep or 0 :] if older_than_days is None or pair[1] < old]


def _told(info: RunInfo, record: Record | None) -> dict[str, str | float | None]:
    """The verdict in a word, and the figure of the topic that it is about."""
    try:
        told = verdict(info, record)
        figures = told.figures
        shift = None if figures is None else figures.net_shift
        poles = None if figures is None else info.topic(figures.topic).poles
    except (KeyError, ValueError, ArithmeticError):  # other programs can write topics that run.json does not name
        return {"verdict": STATE_WORDS["nothing"]}
    row: dict[str, str | float | None] = {"verdict": STATE_WORDS[told.state]}
    if figures is None or shift is None or poles is None:
        return row
    return row | {
        "net shift": f"{title(info, figures.topic)}: {net_shift(shift, poles)}",
        "net_shift": shift,
        "toward": figures.toward,
        "topic": figures.topic,
    }


def _state(store: RunStore) -> str:
    try:
        return store.state()
    except msgspec.MsgspecError:
        return "crashed"


def _last_seen(store: RunStore) -> float:
    stamps = [path.stat().st_mtime for path in store.folder.iterdir() if path.is_file()]
    return max(stamps, default=0.0)


def _row(store: RunStore) -> dict[str, str | float | None]:
    """One row of the list; values that cannot be read are `None`, and the problem is named."""
    row: dict[str, str | float | None] = {"run": store.folder.resolve().name, "state": _state(store)}
    row |= dict.fromkeys(
        (
            "verdict",
            "net shift",
            "net_shift",
            "toward",
            "topic",
            "looks",
            "step",
            "attempts",
            "model",
            "pack",
            "problem",
        )
    )
    try:
        info = store.info()
        row |= {"run": info.run, "model": info.model, "pack": f"{info.pack} {info.pack_version}"}
        records = store.records(superseded=True)
    except (StoreError, msgspec.MsgspecError, OSError) as err:
        return row | {"problem": str(err)}
    found = [record for record in records if record.found_anything and not record.superseded]
    row |= _told(info, found[-1] if found else None)
    row |= {"looks": len(records), "step": records[-1].step if records else None}
    return row | {"attempts": 1 + max((record.attempt for record in records), default=0)}
