"""Writer: the one process that writes a run. A lock file names it, and the heartbeat shows that it lives.

Without this, two trainings that go on from one checkpoint would write one history and read each other's evidence. A
writer that was killed leaves its lock behind, so a lock counts only while its process lives. For a process on the same
machine this is known at once. For one on another machine or in another container, the heartbeat shows it within two
beats.
"""

import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

LOCK = "writer.json"
HEARTBEAT = "heartbeat"
BEAT_SECONDS = 15.0  # seconds between two heartbeats
WATCHED_SECONDS = 2 * BEAT_SECONDS + 1.0  # a writer elsewhere that gives no heartbeat for so long is gone

_held: dict[str, str] = {}  # tokens of the runs that this process writes, by folder
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.clear)


@dataclass(frozen=True, slots=True)
class Writer:
    """The process that writes a run.

    Attributes:
        pid: Process id, for people to read, and for where nothing better is known.
        host: Name of the machine, likewise.
        place: Boot id and process namespace, within which a pid means one process; empty where the system has neither.
        began: When the process began, in ticks since boot, which tells it from a later process with the same pid.
        token: A random text that belongs to this claim alone.
    """

    pid: int
    host: str
    place: str
    began: str
    token: str


def claim(folder: Path, *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Become the writer of a run, and say whether that worked; it does not while another writer lives.

    This waits half a minute where only the heartbeat can show whether the other writer lives.

    Args:
        folder: Folder of the run.
        sleep: Waits for some seconds; a parameter for tests.
    """
    key = str(folder.resolve())
    if key in _held:
        return False
    found = _read(folder)
    if found is not None and _lives(found, folder, sleep):
        return False
    with _alone(folder):
        if _read(folder) != found:  # somebody came first
            return False
        ours = Writer(os.getpid(), socket.gethostname(), _place(), _began(os.getpid()), uuid.uuid4().hex)
        beside = folder / f".{LOCK}.{ours.pid}"
        beside.write_text(json.dumps(asdict(ours)), encoding="utf-8")
        beside.replace(folder / LOCK)
        _held[key] = ours.token
    return True


def release(folder: Path) -> None:
    """Stop being the writer; do nothing if this process is not the writer."""
    token = _held.pop(str(folder.resolve()), None)
    found = _read(folder) if token is not None else None
    if found is not None and found.token == token:
        (folder / LOCK).unlink(missing_ok=True)


def _read(folder: Path) -> Writer | None:
    try:
        return Writer(**json.loads((folder / LOCK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _lives(writer: Writer, folder: Path, sleep: Callable[[float], None]) -> bool:
    if writer.place and writer.place == _place():
        # What this process has claimed is in `_held`. A lock with the same pid is that of an earlier process.
        return writer.pid != os.getpid() and bool(writer.began) and writer.began == _began(writer.pid)
    if not writer.place and writer.host == socket.gethostname() and not _exists(writer.pid):
        return False
    before = _beat(folder)
    if before is None or time.time() - before > 6 * BEAT_SECONDS:
        return False
    for _ in range(int(WATCHED_SECONDS)):
        sleep(1.0)
        if _beat(folder) != before:
            return True
    return False


def _beat(folder: Path) -> float | None:
    """Time of the last heartbeat; `None` without one. Opening the file avoids times that network file systems cache."""
    try:
        with (folder / HEARTBEAT).open("rb") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return None


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in ticks since boot; empty if there is no such process, or the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *rest = stat[stat.rindex(")") + 2 :].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else rest[18]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """A context in which no other process takes over the lock, where the file system supports that."""
    try:
        import fcntl

        opened = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
