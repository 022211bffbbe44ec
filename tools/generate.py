"""`python -m tools.generate [--check]`: rewrites, or compares, every generated file of the repository."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from driftwatch.monitoring.config import Config
from driftwatch.monitoring.files import dashboard_texts, deployment, runbook_text
from driftwatch.record.metrics import CATALOGUE
from tools.architecture import architecture_page
from tools.config_page import config_page
from tools.config_schema import schema_text
from tools.page_words import page_words
from tools.series_budget import series_of_run
from tools.trainers_page import trainers_page

ROOT = Path(__file__).resolve().parents[1]


def metrics_page() -> str:
    """The text of docs/metrics.md, from the catalogue."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in ('run', *metric.labels))} "
        f"| {metric.help.replace('|', chr(92) + '|')} |"
        for metric in CATALOGUE
    ]
    return "\n".join(
        [
            "# Metrics",
            "",
            "Generated from `driftwatch/record/metrics.py`; `make generate` rewrites it.",
            "",
            "What was not measured has no sample: an absent series, never a zero. `probe` is how the figures were "
            'measured: "statement" is the likelihood screen, "confirm" the sampled and judged replies.',
            "",
            "| metric | type | labels | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            *_budget(),
        ]
    )


def _budget() -> list[str]:
    """The section on what the metrics cost a Prometheus."""

    def row(topics: int, probes: int, baselines: int) -> str:
        one = series_of_run(topics, num_probes=probes, num_baselines=baselines)
        figures = (one, 10 * one, 200 * one)
        return f"| {topics} | {probes} | {baselines} | " + " | ".join(f"{figure:,}" for figure in figures) + " |"

    return [
        "## Series budget",
        "",
        "At most so many series, counted from the catalogue. Probes: the screen is one, with judged replies there are "
        'two. Baselines: "start", or "sft" and "start".',
        "",
        "| topics | probes | baselines | a run | 10 runs at once | 200 runs |",
        "|---|---|---|---|---|---|",
        *(row(*case) for case in ((4, 1, 1), (4, 2, 2), (14, 1, 1), (14, 2, 2), (50, 2, 2))),
        "",
    ]


def cli_page() -> str:
    """The text of docs/cli.md, from the click commands."""
    from driftwatch.cli import group

    lines = ["# Command line", "", "Generated from the commands themselves; `make generate` rewrites it.", ""]
    return "\n".join([*lines, *_help(group, "driftwatch", None, level=2)])


def _help(command: click.Command, name: str, parent: click.Context | None, *, level: int) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
    found = [f"{'#' * level} `{context.command_path}`", "", "```text", command.get_help(context).rstrip(), "```", ""]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None, f"{name} lists {child} and does not have it"
            found += _help(below, child, context, level=level + 1)
    return found


def dashboard_files() -> dict[str, str]:
    """The texts of dashboards/*.json."""
    return {f"dashboards/{name}": text for name, text in dashboard_texts(Config()).items()}


def deployment_files() -> dict[str, str]:
    """The texts of the files in deploy/ that are not written by hand."""
    texts = deployment(Config(), dashboards_folder="../dashboards")
    return {f"deploy/{path}": text for path, text in texts.items()}


# Each entry is a path and the function that gives its text, or "" and a function that gives texts by path. To generate
# another file, add an entry.
GENERATED: list[tuple[str, Callable[[], str] | Callable[[], dict[str, str]]]] = [
    ("docs/metrics.md", metrics_page),
    ("docs/cli.md", cli_page),
    ("driftwatch/config/config.schema.json", schema_text),
    ("docs/configuration.md", config_page),
    ("docs/trainers.md", trainers_page),
    ("docs/architecture.md", architecture_page),
    ("driftwatch/service/static/words.js", page_words),
    ("docs/runbook.md", lambda: runbook_text(Config())),
    ("", dashboard_files),
    ("", deployment_files),
]


def texts() -> dict[str, str]:
    """The text of every generated file, by its path below the repository."""
    found: dict[str, str] = {}
    for path, made in GENERATED:
        text = made()
        found |= {path: text} if isinstance(text, str) else text
    return found


def stale(root: Path) -> list[str]:
    """The paths of generated files that are missing or differ."""
    return [
        path
        for path, text in texts().items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file is stale.")
def main(check: bool) -> None:
    """Rewrite every generated file of the repository, or say which are stale."""
    found = stale(ROOT)
    if check:
        for path in found:
            click.echo(f"{path} is stale; run `make generate`.", err=True)
        sys.exit(1 if found else 0)
    made = texts()
    for path in found:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(made[path], encoding="utf-8")
        click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
