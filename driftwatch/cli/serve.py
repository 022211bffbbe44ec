"""`driftwatch serve`: runs the monitoring service over a folder of runs."""

import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from driftwatch.errors import ConfigError, StoreError
from driftwatch.store.run_store import folder_of_runs

if TYPE_CHECKING:
    from driftwatch.service.app import DriftwatchApp

DEFAULT_PORT = 9465  # beside the trainers' own 9464


def _use_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Take the section "service" of a settings file as defaults of the other options."""
    if value is not None:
        from driftwatch.config import load_config

        ctx.default_map = load_config(value).values.get("service", {})
    return value


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_use_config,
    help="Settings file whose section “service” gives the defaults of the other options.",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="driftwatch-runs")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; beyond loopback, a token is required."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File whose first line is the token; the environment variable DRIFTWATCH_TOKEN can hold it instead.",
)
@click.option("--allow-host", multiple=True, help="A further name under which browsers and scrapers reach the service.")
@click.option(
    "--keep-hours",
    type=click.FloatRange(min=0),
    default=6.0,
    show_default=True,
    help="How long ended runs stay in /metrics.",
)
def command(
    folder: Path, host: str, port: int, token_file: Path | None, allow_host: tuple[str, ...], keep_hours: float
) -> None:
    """Serve page, API and metrics of all runs in FOLDER at http://HOST:PORT.

    The service reads run folders on a local or shared disk. With a token it also takes what trainers without that disk
    push (the exporter "service").
    """
    from driftwatch.service.app import create_app
    from driftwatch.service.exposition import MetricsText
    from driftwatch.service.library import Library
    from driftwatch.service.live import TOKEN, listening
    from driftwatch.service.security import LOOPBACK_NAMES, is_loopback

    token = _token(token_file) or os.environ.get(TOKEN) or None
    local = is_loopback(host)
    if not local and token is None:
        raise ConfigError(
            f"listening at {host} shows the runs to other machines, so a token is required: set {TOKEN}, or pass "
            "--token-file. Without one, listen at 127.0.0.1 and tunnel to it."
        )
    _prepare(folder, is_writable=token is not None)
    library = Library(folder)
    app = create_app(
        library,
        token=token,
        needs_token_to_read=not local,
        hosts=(*LOOPBACK_NAMES, *allow_host) if local else None,
        metrics=MetricsText(library, keep_seconds=3600 * keep_hours).compressed,
    )
    try:
        opened = listening(host, port)
    except OSError as err:
        raise ConfigError(
            f"port {port} at {host} cannot be used ({err.strerror}). Pass --port 0 to take a free one."
        ) from err
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"runs of {folder} at http://{shown}:{opened.getsockname()[1]}", err=True)
    pushing = "on" if token else "off (set a token to turn it on)"
    click.echo(f"metrics of all runs at /metrics, API at /api/v1/openapi.json, pushing is {pushing}", err=True)
    _serve(app, opened)


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"the token cannot be read from {file} ({err}).") from err
    if not lines or len(lines[0].strip()) < 8:
        raise ConfigError(f"expected a token of 8 characters or more in the first line of {file}; found none.")
    return lines[0].strip()


def _prepare(folder: Path, *, is_writable: bool) -> None:
    if is_writable:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreError(f"pushed runs cannot be kept in {folder} ({err.strerror}).") from err
    folder_of_runs(folder)


class _Printable(logging.Formatter):
    """A formatter that puts a message on one line, whatever the names of folders in it are."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        from driftwatch.wording import printable

        return printable(super().formatMessage(record))


def _serve(app: "DriftwatchApp", opened: socket.socket) -> None:
    from driftwatch.service.live import StreamingServer

    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    StreamingServer(app, max_connections=1000).run(sockets=[opened])
