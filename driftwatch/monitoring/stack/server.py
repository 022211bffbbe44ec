"""Server: one background process, found again by its command line, so that no other process is ever stopped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftwatch.errors import ConfigError
from driftwatch.http.client import send
from driftwatch.http.reply import NoReply

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
_TAIL = 4000  # characters from the end of a log, read to find its last line


@dataclass(frozen=True, slots=True)
class Server:
    """A server process that was started in the background.

    Attributes:
        command: Program and arguments; a process with another command line is another one, even if it has the same id.
        ready: Path that answers 200 once the server is ready.
        log: File that its stdout and stderr are written to.
    """

    name: str
    pid: int
    command: tuple[str, ...]
    url: str
    ready: str
    log: str

    @property
    def is_running(self) -> bool:
        """Whether this process, and not another with its id, is running."""
        return command_line(self.pid) == self.command[1:]

    @property
    def is_ready(self) -> bool:
        """Whether the server answers on its `ready` path."""
        return answers(f"{self.url}{self.ready}")


def started(name: str, command: Sequence[str], *, url: str, ready: str, folder: Path) -> Server:
    """Start a process that outlives this one, and return at once."""
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,  # so that Ctrl-C in the terminal does not reach it
        )
    process.returncode = 0  # it outlives us on purpose; without this, a destructor warns that it still runs
    return Server(name, process.pid, tuple(command), url, ready, str(log))


def wait_ready(server: Server, *, seconds: float = READY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
    """Wait until the server answers.

    Raises:
        ConfigError: It died or did not answer in time; the message holds the last line of its log.
    """
    until = clock() + seconds
    while clock() < until:
        if server.is_ready:
            return
        if _is_gone(server.pid):
            raise ConfigError(f"{server.name} ended while it was starting: {last_words(server)}")
        time.sleep(0.05)
    raise ConfigError(f"{server.name} did not answer at {server.url} within {seconds:.0f} s: {last_words(server)}")


def stop(server: Server, *, seconds: float = STOP_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
    """Ask the server to end, and kill it if it does not; does nothing if its process is gone."""
    for sent, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, seconds)):
        if not server.is_running:
            return
        os.kill(server.pid, sent)
        until = clock() + patience
        while server.is_running and not _is_gone(server.pid) and clock() < until:
            time.sleep(0.02)


def free_port(wanted: int, option: str) -> int:
    """The wanted port, or a free one for 0.

    Raises:
        ConfigError: The port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as err:
            raise ConfigError(
                f"port {wanted} on 127.0.0.1 cannot be used ({err.strerror}). Pass {option} 0 to take a free one."
            ) from err
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a GET gives 200 within a second."""
    try:
        return send("GET", url, timeout=1).status == 200
    except NoReply:
        return False


def command_line(pid: int) -> tuple[str, ...] | None:
    """The arguments of a process without its program, whose path may have been resolved; `None` if it does not run."""
    proc = Path("/proc") / str(pid) / "cmdline"
    if proc.parent.parent.joinpath("self").exists():
        try:
            return tuple(proc.read_text(errors="replace").rstrip("\0").split("\0")[1:])
        except OSError:
            return None
    done = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return tuple(done.stdout.split()[1:]) or None


def last_words(server: Server) -> str:
    """The last line of the server's log."""
    try:
        lines = Path(server.log).read_text(errors="replace")[-_TAIL:].split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; if it is our child, it is also reaped, so that no zombie stays."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # not our child, since an earlier command started it
        return command_line(pid) is None
