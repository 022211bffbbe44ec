"""Writer: a run has one process that writes it. A lock file names it, and the heartbeat shows that it lives.

Two trainings that go on from one checkpoint would otherwise write one history, and read each other's evidence. A writer
that was killed leaves its lock behind, so a lock counts only while its process lives: on the machine itself that is
known at once; of another one, or another container, the heartbeat tells it within two beats.
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
BEAT_SECONDS = 15.0  # between two signs of life
WATCHED_SECONDS = 2 * BEAT_SECONDS + 1.0  # without one of them, whoever writes from elsewhere is gone

_held: dict[str, str] = {}  # by folder, what this process writes
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.clear)


@dataclass(frozen=True, slots=True)
class Writer:
    """The process that writes a run.

    Attributes:
        pid, host: For people, and where nothing better is known.
        place: Boot and namespace of processes, in which a pid means one process; empty where the system has neither.
        began: When the process began, in ticks since boot; tells it from a later one of the same pid.
        token: Of this claim alone.
    """

    pid: int
    host: str
    place: str
    began: str
    token: str


def claim(folder: Path, *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Become the writer of a run, unless another one lives. Waits half a minute where only the heartbeat can tell.

    Args:
        folder: The run's.
        sleep: A parameter for tests.
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
    """Be the writer no more; nothing where this process is not."""
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
        # What this process itself has claimed is in `_held`; the same pid in a lock is a namesake's.
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
    """When the writer last gave a sign of life; the file is opened, since network file systems remember its times."""
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
    """When a process began; empty where there is none, or the system does not say."""
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
    except OSError:  # somebody else's
        return True
    return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else takes over a lock meanwhile, where the file system knows how to keep them out."""
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
