"""`driftwatch report`: writes one file about a run."""

from pathlib import Path

import click

from driftwatch.host.identity import check_comparable
from driftwatch.store.run_store import RunStore

KINDS = {".html": "html", ".md": "md", ".json": "json"}


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), help="Folder of another run to put beside it.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write: .html, .md or .json.  [default: RUN.html]")
@click.option(
    "--figures", type=click.Path(path_type=Path), help="Also write each picture to a file of its own in this folder."
)
@click.option("--figure-kind", type=click.Choice(["svg", "png"]), default="svg", show_default=True)
def command(run: Path, against: Path | None, out: Path | None, figures: Path | None, figure_kind: str) -> None:
    """Write everything that the run in folder RUN has found to one file, to send to a colleague.

    The HTML file needs neither network nor scripts; its pictures are inside.
    """
    from driftwatch.report.against import compare_runs
    from driftwatch.report.render import as_json, html, markdown, write_figures
    from driftwatch.report.summary import summarise
    from driftwatch.wording import STATE_WORDS, printable

    store = RunStore(run)
    path = out or Path(f"{store.folder.resolve().name}.html")
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise click.BadParameter(
            f"expected a file ending in .html, .md or .json; found {path.name!r}.", param_hint="--out"
        )
    summary = summarise(store)
    beside = None
    if against is not None:
        other = RunStore(against)
        check_comparable(summary.info.identity, other.info().identity, whose=f"in {run}")
        beside = compare_runs(store, other)
    if kind == "json":
        content = as_json(summary, beside)
    else:
        content = (html if kind == "html" else markdown)(summary, beside).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    click.echo(printable(f"{STATE_WORDS[summary.verdict.state]}: {summary.verdict.headline}"))
    click.echo(f"wrote {printable(str(path))} ({len(content) / 1024:.0f} KiB)")
    if figures is not None:
        for written in write_figures(summary.figures, figures, figure_kind):
            click.echo(f"wrote {written}")
