"""`driftwatch grafana`: puts dashboards, data source, rules and annotations into a running Grafana over HTTP."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from driftwatch.cli.mixin_settings import config_of, mixin_settings
from driftwatch.errors import ConfigError

if TYPE_CHECKING:
    from driftwatch.monitoring.grafana import Connection, Wanted

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--url",
        envvar="GRAFANA_URL",
        required=True,
        help="Root of Grafana, with its sub-path; also GRAFANA_URL.",
    ),
    click.option("--organization", envvar="GRAFANA_ORG_ID", help="Id of the organization; also GRAFANA_ORG_ID."),
    click.option(
        "--ca-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with the certificate authority for Grafana's certificate.",
    ),
    click.option("--insecure", is_flag=True, help="Do not check Grafana's certificate."),
    click.option("--datasource-url", help="Make a Prometheus data source with this address, as Grafana reaches it."),
    click.option(
        "--rules",
        is_flag=True,
        help="Also make Grafana-managed alert rules; leave out where a Prometheus evaluates the rule file.",
    ),
    click.option(
        "--run",
        "runs",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Run folder whose phases and alerts become annotations; repeatable.",
    ),
)


def _connected(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return mixin_settings(command)


@click.group()
def command() -> None:
    """Put dashboards, data source, alert rules and annotations into a running Grafana, or take them out.

    Credentials come from GRAFANA_TOKEN, the token of a service account with the role Editor (Admin for data sources),
    or from GRAFANA_USER and GRAFANA_PASSWORD. A repeated command does only what is left to do.
    """


@command.command()
@_connected
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def apply(dry_run: bool, **options: Any) -> None:
    """Create or update everything that differs."""
    from driftwatch.monitoring.grafana import apply as make
    from driftwatch.monitoring.grafana import plan

    changes = plan(*_opened(options))
    if dry_run:
        _print(changes)
        return
    for change in make(changes):
        _say(change)
    _summarize(changes)


@command.command()
@_connected
def diff(**options: Any) -> None:
    """Say what differs; exit 1 if anything does."""
    from driftwatch.monitoring.grafana import plan

    changes = plan(*_opened(options))
    _print(changes)
    sys.exit(1 if any(change.action != "keep" for change in changes) else 0)


@command.command()
@_connected
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def remove(dry_run: bool, **options: Any) -> None:
    """Take out everything that `apply` makes; what others put beside it stays."""
    from driftwatch.monitoring.grafana import apply as make
    from driftwatch.monitoring.grafana import removal

    changes = removal(*_opened(options))
    if dry_run:
        _print(changes)
        return
    for change in make(changes):
        _say(change)
    click.echo(f"removed {len(changes)}")


def _opened(options: dict[str, Any]) -> tuple["Connection", "Wanted"]:
    from driftwatch.monitoring.grafana import Wanted, connect
    from driftwatch.store.run_store import RunStore

    if options["insecure"] and options["ca_file"]:
        raise ConfigError("--insecure checks no certificate, so --ca-file would mean nothing; pass one of them.")
    own = {
        name: options.pop(name) for name in ("url", "organization", "ca_file", "insecure", "datasource_url", "rules")
    }
    runs = tuple(RunStore(folder) for folder in options.pop("runs"))
    verify: bool | str = str(own["ca_file"]) if own["ca_file"] else not own["insecure"]
    options["grafana_url"] = options["grafana_url"] or own["url"]  # links lead to the Grafana that holds them
    wanted = Wanted(config_of(options), datasource_url=own["datasource_url"], rules=own["rules"], runs=runs)
    connection = connect(
        own["url"],
        token=os.environ.get("GRAFANA_TOKEN") or None,
        user=os.environ.get("GRAFANA_USER"),
        password=os.environ.get("GRAFANA_PASSWORD"),
        organization=own["organization"],
        verify=verify,
    )
    return connection, wanted


def _print(changes: list[Any]) -> None:
    for change in changes:
        if change.action != "keep":
            _say(change)
    _summarize(changes)


def _say(change: Any) -> None:
    click.echo(f"{change.action:7}{change.kind:12} {change.name}")


def _summarize(changes: list[Any]) -> None:
    kept = sum(change.action == "keep" for change in changes)
    click.echo(f"{len(changes) - kept} to change, {kept} as they should be")
