"""Starts, stops and finds a stack, which lives in a folder with its configuration, data, logs and stack.json."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from driftwatch.errors import ConfigError, StoreError
from driftwatch.http.client import send
from driftwatch.http.reply import NoReply
from driftwatch.monitoring.config import Config
from driftwatch.monitoring.stack import compose
from driftwatch.monitoring.stack.server import Server, free_port, started, stop, wait_ready
from driftwatch.monitoring.stack.settings import PUSHED, files, local_config
from driftwatch.store.run_store import find_runs

STATE = "stack.json"
ADDRESS = "127.0.0.1"
# Debian names the program of Alertmanager after its package.
PROGRAMS = {"prometheus": ("prometheus",), "alertmanager": ("prometheus-alertmanager", "alertmanager")}
KEEP_HOURS = "87600"  # for the service: ten years, so that a run that ended long ago is still in /metrics
TIMEOUT_SECONDS = 5.0
_MAX_ANSWER = 64 << 20  # bytes; Prometheus lists its rules together with all firing alerts


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack.

    Attributes:
        folder: Folder of the stack.
        servers: Its processes in the order in which they were started; with Compose, only our own services.
        compose: Whether Prometheus and Alertmanager run as containers.
    """

    folder: str
    prometheus: str
    alertmanager: str
    servers: tuple[Server, ...]
    compose: bool = False

    @property
    def is_running(self) -> bool:
        """Whether any part of the stack is running."""
        return any(server.is_running for server in self.servers) or (self.compose and compose.is_up(Path(self.folder)))

    def firing(self) -> list[dict[str, str]]:
        """Labels of the alerts that fire in Prometheus.

        Raises:
            StoreError: Prometheus does not answer.
        """
        found = _asked(f"{self.prometheus}/api/v1/alerts")["data"]["alerts"]
        return [alert["labels"] for alert in found if alert["state"] == "firing"]

    def targets(self) -> list[tuple[str, str]]:
        """Addresses that are scraped, each with its health.

        Raises:
            StoreError: Prometheus does not answer.
        """
        found = _asked(f"{self.prometheus}/api/v1/targets?state=active")["data"]["activeTargets"]
        return [(target["scrapeUrl"], target["lastError"] or target["health"]) for target in found]


def up(
    folder: Path,
    *,
    runs: Sequence[Path] = (),
    targets: Sequence[str] = (),
    pushgateways: Sequence[str] = (),
    prometheus_port: int = 9090,
    alertmanager_port: int = 9093,
    webhook: str | None = None,
    use_compose: bool | None = None,
    config: Callable[[str], Config] = local_config,
) -> Stack:
    """Start all servers and wait until they answer; if anything fails, nothing is left running.

    Args:
        folder: Folder of the stack, made if missing; the data of an earlier stack in it is kept.
        runs: Run folders, or folders of runs; each gets a `driftwatch serve`, which also serves runs that have ended.
        targets: HOST:PORT of trainers, or of a service, to scrape directly.
        pushgateways: HOST:PORT of Pushgateways; the labels that were pushed are kept.
        prometheus_port: Port of Prometheus; 0 takes a free one.
        alertmanager_port: Port of Alertmanager; 0 takes a free one.
        webhook: Address to which Alertmanager sends every alert; `None` sends none.
        use_compose: Whether to use Docker Compose; `None` uses it only where the programs are not on PATH.
        config: Gives the settings of the rules for the folder.

    Raises:
        ConfigError: There is nothing to watch, a program is missing, a port is taken, or a server does not start.
        StoreError: A folder holds no run.
    """
    folder = folder.resolve()
    if (known := running(folder)) is not None:
        raise ConfigError(f"a stack already runs in {folder}, at {known.prometheus}. `driftwatch stack down` stops it.")
    if not (runs or targets or pushgateways):
        raise ConfigError("there is nothing to watch; pass --run with a run's folder, or --target with HOST:PORT.")
    for run in runs:
        if not find_runs(run):
            raise StoreError(f"expected a run's folder, or a folder of runs; found no run in {run}.")
    programs = None if use_compose else _programs(needed=use_compose is False)
    if programs is None:
        compose.check()
    ports = free_port(prometheus_port, "--prometheus-port"), free_port(alertmanager_port, "--alertmanager-port")
    _make(folder)
    with _all_or_nothing() as servers:
        services = [_serve(run, folder, number, servers) for number, run in enumerate(runs)]
        jobs = {
            "driftwatch": targets,
            "driftwatch-service": [f"{ADDRESS}:{port}" for port in services],
            PUSHED: pushgateways,
        }
        alertmanager = f"{ADDRESS}:{ports[1]}"
        texts = files(config(str(folder)), targets=jobs, alertmanager=alertmanager, webhook=webhook)
        if programs is None:
            texts["compose.yaml"] = compose.text(ADDRESS, *ports)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        if programs is None:
            compose.up(folder)
        else:
            _start(programs, folder, ports, servers)
        stack = Stack(
            str(folder), f"http://{ADDRESS}:{ports[0]}", f"http://{alertmanager}", tuple(servers), programs is None
        )
        (folder / STATE).write_bytes(msgspec.json.format(msgspec.json.encode(stack), indent=1) + b"\n")
    return stack


def running(folder: Path) -> Stack | None:
    """The stack that runs in a folder, or `None`."""
    try:
        stack = msgspec.json.decode((folder / STATE).read_bytes(), type=Stack)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as err:
        raise StoreError(f"{folder / STATE} cannot be read ({err}). Stop its servers by hand, and delete it.") from err
    return stack if stack.is_running else None


def down(folder: Path, *, forget: bool = False) -> bool:
    """Stop all servers; returns whether any was running.

    Args:
        folder: Folder of the stack.
        forget: Whether to delete its data, configuration and logs too.
    """
    folder = folder.resolve()
    stack = running(folder)
    if stack is not None:
        if stack.compose:
            compose.down(folder)
        for server in reversed(stack.servers):  # Prometheus is stopped first, since only Prometheus calls the others
            stop(server)
    (folder / STATE).unlink(missing_ok=True)
    if forget and (folder / "prometheus.yml").is_file():
        shutil.rmtree(folder)
    return stack is not None


def _serve(run: Path, folder: Path, number: int, servers: list[Server]) -> int:
    port = free_port(0, "")
    arguments = ["serve", str(run.resolve()), "--port", str(port), "--keep-hours", KEEP_HOURS]
    command = [sys.executable, "-m", "driftwatch", *arguments]
    url = f"http://{ADDRESS}:{port}"
    servers.append(started(f"service-{number}", command, url=url, ready="/readyz", folder=folder))
    wait_ready(servers[-1])
    return port


def _start(programs: dict[str, str], folder: Path, ports: tuple[int, int], servers: list[Server]) -> None:
    prometheus, alertmanager = (f"{ADDRESS}:{port}" for port in ports)
    commands = {
        "alertmanager": [
            programs["alertmanager"],
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address={alertmanager}",
            f"--web.external-url=http://{alertmanager}",
            "--cluster.listen-address=",  # without this, Alertmanager opens a port for gossip
        ],
        "prometheus": [
            programs["prometheus"],
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address={prometheus}",
            f"--web.external-url=http://{prometheus}",
            "--web.enable-lifecycle",
        ],
    }
    for name, command in commands.items():
        url = f"http://{alertmanager if name == 'alertmanager' else prometheus}"
        servers.append(started(name, command, url=url, ready="/-/ready", folder=folder))
        wait_ready(servers[-1])


def _programs(*, needed: bool) -> dict[str, str] | None:
    """The paths of the programs, or `None` where one is missing and Compose may be used instead."""
    found = {name: next(filter(None, map(shutil.which, names)), None) for name, names in PROGRAMS.items()}
    missing = [name for name, path in found.items() if path is None]
    if missing and (needed or not compose.is_there()):
        raise ConfigError(
            f"{' and '.join(missing)} cannot be found on PATH, and Docker Compose neither. Install "
            "prometheus and prometheus-alertmanager (Debian), or Docker with Compose."
        )
    return None if missing else {name: path for name, path in found.items() if path is not None}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / STATE).unlink(missing_ok=True)
    except OSError as err:
        raise ConfigError(f"{folder} cannot be written ({err.strerror}); pass --folder with one that can.") from err


@contextmanager
def _all_or_nothing() -> Iterator[list[Server]]:
    """Collect servers as they are started, and stop all of them if the block fails or is interrupted."""
    servers: list[Server] = []
    try:
        yield servers
    except BaseException:
        for server in reversed(servers):
            stop(server)
        raise


def _asked(url: str) -> Any:
    try:
        reply = send("GET", url, timeout=TIMEOUT_SECONDS, max_bytes=_MAX_ANSWER)
        if reply.is_success:
            return reply.json()
        reason = f"HTTP {reply.status}"
    except (NoReply, ValueError) as err:
        reason = str(err)
    raise StoreError(f"{url} does not answer ({reason}). `driftwatch stack down`, and up again.")
