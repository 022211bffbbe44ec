"""Runs the same two servers as containers, where their programs are missing and Docker Compose is there."""

import shutil
import subprocess
from pathlib import Path

from driftwatch.errors import ConfigError
from driftwatch.monitoring.static import read

PROJECT = "driftwatch-stack"
_SECONDS = 300.0  # long enough to pull the images the first time


def is_there() -> bool:
    """Whether Compose is installed, as a plugin of docker or as a program of its own."""
    return _command() is not None


def check() -> None:
    """Check that Compose and a running engine are there.

    Raises:
        ConfigError: One of them is missing.
    """
    if not is_there():
        raise ConfigError("Docker Compose cannot be found; install it, or prometheus and prometheus-alertmanager.")
    if _run(["docker", "info"]).returncode != 0:
        raise ConfigError("Docker does not answer (`docker info` fails); start it, or install prometheus itself.")


def text(address: str, prometheus_port: int, alertmanager_port: int) -> str:
    """The text of compose.yaml; both servers use the host's network, so that they reach what listens on loopback."""
    return read(
        "stack-compose.yaml",
        prometheus=f"{address}:{prometheus_port}",
        alertmanager=f"{address}:{alertmanager_port}",
    )


def up(folder: Path) -> None:
    """Start both servers and wait until they are healthy.

    Raises:
        ConfigError: They do not start.
    """
    done = _compose(folder, "up", "--detach", "--wait")
    if done.returncode != 0:
        _compose(folder, "down")
        raise ConfigError(f"docker compose up failed: {_last_line(done)}")


def down(folder: Path) -> None:
    """Stop both servers."""
    done = _compose(folder, "down")
    if done.returncode != 0:
        raise ConfigError(f"docker compose down failed: {_last_line(done)}")


def is_up(folder: Path) -> bool:
    """Whether any container of the folder's stack is running."""
    done = _compose(folder, "ps", "--quiet")
    return done.returncode == 0 and bool(done.stdout.strip())


def _command() -> list[str] | None:
    if shutil.which("docker") and _run(["docker", "compose", "version"]).returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def _compose(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = _command()
    if command is None:
        raise ConfigError("Docker Compose, with which this stack was started, cannot be found any more.")
    return _run([*command, "--project-name", PROJECT, "--file", str(folder / "compose.yaml"), *arguments])


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"
