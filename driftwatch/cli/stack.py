"""`driftwatch stack`: starts and stops Prometheus and Alertmanager with our rules for a run."""

import getpass
import os
import tempfile
from pathlib import Path

import click

from driftwatch.errors import ConfigError

_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for configuration, data and logs.  [default: a folder of yours below the temporary one]",
)


@click.group()
def command() -> None:
    """Start Prometheus and Alertmanager with our rules against a run, and stop them again.

    Programs on PATH are used (Debian: apt-get install --no-install-recommends prometheus prometheus-alertmanager), or
    Docker Compose where there are none. Everything listens on 127.0.0.1.
    """


@command.command()
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A run's folder, running or ended, or a folder of runs; repeatable.",
)
@click.option("--target", "targets", multiple=True, metavar="HOST:PORT", help="Endpoint to scrape; repeatable.")
@click.option(
    "--pushgateway", "pushgateways", multiple=True, metavar="HOST:PORT", help="Pushgateway to scrape; repeatable."
)
@_folder
@click.option("--prometheus-port", type=click.IntRange(0, 65535), default=9090, show_default=True)
@click.option("--alertmanager-port", type=click.IntRange(0, 65535), default=9093, show_default=True)
@click.option("--webhook", metavar="URL", help="Address to send every alert to.")
@click.option(
    "--with",
    "means",
    type=click.Choice(["auto", "programs", "compose"]),
    default="auto",
    show_default=True,
    help="Use programs on PATH, Docker Compose, or (auto) whichever is there.",
)
def up(
    runs: tuple[Path, ...],
    targets: tuple[str, ...],
    pushgateways: tuple[str, ...],
    folder: Path | None,
    prometheus_port: int,
    alertmanager_port: int,
    webhook: str | None,
    means: str,
) -> None:
    """Start everything, wait until it answers, and print where."""
    from driftwatch.monitoring import stack

    made = stack.up(
        folder or own_folder(),
        runs=runs,
        targets=targets,
        pushgateways=pushgateways,
        prometheus_port=prometheus_port,
        alertmanager_port=alertmanager_port,
        webhook=webhook,
        use_compose={"auto": None, "programs": False, "compose": True}[means],
    )
    click.echo(f"Prometheus    {made.prometheus}/alerts")
    click.echo(f"Alertmanager  {made.alertmanager}")
    for server in made.servers:
        if server.name.startswith("service"):
            click.echo(f"run page      {server.url}")
    click.echo(f"in {made.folder}; `driftwatch stack status` shows what fires, `driftwatch stack down` stops it")


@command.command()
@_folder
def status(folder: Path | None) -> None:
    """Show what is scraped and which alerts fire; exit 1 if nothing runs."""
    from driftwatch.monitoring import stack

    where = folder or own_folder()
    found = stack.running(where)
    if found is None:
        click.echo(f"no stack runs in {where}")
        raise click.exceptions.Exit(1)
    click.echo(f"Prometheus {found.prometheus}, Alertmanager {found.alertmanager}")
    for url, health in found.targets():
        click.echo(f"scrapes {url}: {health}")
    firing = found.firing()
    for labels in firing:
        rest = " ".join(f"{name}={labels[name]}" for name in ("run", "topic", "kind", "instance") if name in labels)
        click.echo(f"firing {labels['alertname']} ({labels['severity']}) {rest}")
    if not firing:
        click.echo("nothing fires")


@command.command()
@_folder
@click.option("--forget", is_flag=True, help="Also delete the stack's data, configuration and logs.")
def down(folder: Path | None, forget: bool) -> None:
    """Stop everything."""
    from driftwatch.monitoring import stack

    where = folder or own_folder()
    stopped = stack.down(where, forget=forget or folder is None)
    click.echo("stopped" if stopped else f"no stack runs in {where}")


def own_folder() -> Path:
    """The user's own folder below the temporary one, the same for up, status and down.

    Raises:
        ConfigError: Somebody else owns the folder.
    """
    folder = Path(tempfile.gettempdir()) / f"driftwatch-stack-{getpass.getuser()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as err:
        raise ConfigError(f"{folder} cannot be made ({err.strerror}); pass --folder.") from err
    if folder.is_symlink() or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        raise ConfigError(f"{folder} belongs to somebody else; pass --folder.")
    return folder
