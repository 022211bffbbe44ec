"""`driftwatch config`: checks a settings file, and shows what a run will do with it."""

import json
import sys
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)  # click does not check that it exists, as we have a sentence of our own for that


@click.group("config")
def command() -> None:
    """Check a settings file, and show what a run will do with it.

    The keys are those of DriftCallback: docs/configuration.md lists them.
    """


@command.command()
@click.argument("file", type=FILE, envvar="DRIFTWATCH_CONFIG")
def check(file: Path) -> None:
    """Say what is wrong in FILE, with lines; exit 1 if anything is, 3 if there is no such file.

    All faults are listed at once. Where the packages for training are installed, the pack, judge and exporters that
    FILE names are also made, and the baseline is read and compared with the pack.
    """
    from driftwatch.config import check_config

    faults, is_whole = check_config(file)
    for fault in faults:
        click.echo(str(fault), err=True)
    if faults:
        sys.exit(1)
    form = "by its form only: the packages that training needs are not installed here"
    click.echo(f"{file} is right; {'everything it names can be made' if is_whole else form}.")


@command.command()
@click.argument("file", type=FILE, envvar="DRIFTWATCH_CONFIG", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def show(file: Path | None, as_json: bool) -> None:
    """Print every setting with its value and its source: FILE, the environment, or the defaults.

    Secrets are never shown.
    """
    from driftwatch.config import load_config
    from driftwatch.config.resolved import settings, variables

    found = settings(load_config(file))
    environment = variables()
    if as_json:
        text = {
            "settings": {s.key: {"value": s.value, "from": s.source} for s in found},
            "environment": {variable.name: value for variable, value in environment},
        }
        click.echo(json.dumps(text, indent=1, ensure_ascii=False))
        return
    width = max(len(s.key) for s in found)
    values = [_shown(s.value) for s in found]
    column = min(40, max(map(len, values)))
    for setting, value in zip(found, values, strict=True):
        click.echo(f"{setting.key:<{width}}  {value:<{column}}  {setting.source}")
    for variable, value in environment:
        click.echo(f"{variable.name:<{width}}  {value:<{column}}  environment")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
