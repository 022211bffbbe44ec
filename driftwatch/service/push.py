"""Inbox: takes observations from trainers without a shared disk and keeps them in run folders like those of other runs.

A line is known by its content, so repeating a push, in part or whole, changes nothing. A push is checked line by line:
sound lines are kept, and each bad line is refused with its reason, so a bad line costs no good one.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from driftwatch.errors import StoreError
from driftwatch.record.record import record_from_json, run_info_from_json, to_json
from driftwatch.service.api import Json, refused
from driftwatch.service.library import Library
from driftwatch.service.security import carries
from driftwatch.store.run_store import Baseline, Event, LookStances, RunStore, valid_run_name
from driftwatch.topics.topic import TopicPack

logger = logging.getLogger(__name__)

MAX_BODY = 8 << 20  # bytes, the most that one push may have
DRAINED = 64 << 20  # bytes beyond that limit that are read and thrown away
MAX_RUN = 2 << 30  # bytes, the most that one run may have; far more than a thousand observations of the largest pack
MAX_PUSHED_RUNS = 1000
MARKER = "pushed.json"  # marks a folder as pushed, unlike one that its trainer writes
# Part of a push → file of the run. The trainer keeps replies in several files, and here they go into one.
FILES = {
    "events": "events.jsonl",
    "stances": "stances.jsonl",
    "replies": "replies/pushed.jsonl",
    "records": "records.jsonl",  # last, so that everything that a visible observation refers to is there
}


# Part of a push → the type that it holds, and its file, which is written once.
WHOLE: dict[str, tuple[Any, Callable[[Any], str]]] = {
    "baselines": (Baseline, lambda baseline: f"baseline-{baseline.name}.json"),
    "packs": (TopicPack, lambda pack: "pack.json"),
}


class Push(msgspec.Struct, forbid_unknown_fields=True):
    """The body of one push; every part may be left out.

    Attributes:
        info: The run's attributes; required with the first push of a run.
        records, events, stances, replies: Lines of the files of these names.
        baselines: The baselines that the run compares with.
        packs: The topic pack, as a list of one.
    """

    info: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    baselines: list[msgspec.Raw] = []
    packs: list[msgspec.Raw] = []
    records: list[msgspec.Raw] = []
    events: list[msgspec.Raw] = []
    stances: list[msgspec.Raw] = []
    replies: list[msgspec.Raw] = []


class Refused(msgspec.Struct):
    """One line that was not kept."""

    part: str
    index: int
    reason: str


class Accepted(msgspec.Struct):
    """What became of a push.

    Attributes:
        accepted: Number of lines that were kept.
        duplicates: Number of lines that were known already.
        refused: The lines that were not kept, with reasons.
        records: Number of observations of this run that the service now has; a client that has sent more sends all of
            them again.
    """

    accepted: int
    duplicates: int
    refused: list[Refused]
    records: int = 0


class PushError(Exception):
    """A push that is refused as a whole."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Inbox:
    """Keeps pushed runs in a folder.

    Args:
        root: Folder of the runs.
        max_body: Largest push, in bytes.
    """

    def __init__(self, root: Path, *, max_body: int = MAX_BODY) -> None:
        self.max_body = max_body
        self._root = root
        self._known: dict[str, set[bytes]] = {}
        self._looks: dict[str, set[tuple[int, int]]] = {}
        self._lock = threading.Lock()

    def keep(self, name: str, push: Push) -> Accepted:
        """Store those lines of a push that are new and sound.

        Raises:
            PushError: The run's name or description cannot be accepted, or there is no room.
        """
        with self._lock:
            store = self._store(name, push)
            result = Accepted(0, 0, [])
            for part in WHOLE:
                self._keep_files(store, part, getattr(push, part), result)
            for part, file in FILES.items():
                self._keep_lines(store, part, file, getattr(push, part), result)
            store.beat()
            result.records = len(self._looks[name])
            return result

    def _store(self, name: str, push: Push) -> RunStore:
        try:
            store = RunStore(self._root / valid_run_name(name))
        except StoreError as err:
            raise PushError(400, str(err)) from err
        if store.folder.exists() and not (store.folder / MARKER).is_file():
            raise PushError(
                409, f"run {name} is written into this folder by its trainer; a push would write it twice. Rename it."
            )
        info = self._info(name, push)
        if not store.exists:
            self._create(store, info)
        elif info is not None and info.created != store.info().created:
            raise PushError(
                409,
                f"another run called {name} was pushed here before (begun at {store.info().created:.0f}, this one at "
                f"{info.created:.0f}). Give this run another name.",
            )
        if sum(path.stat().st_size for path in store.folder.glob("*.jsonl")) > MAX_RUN:
            raise PushError(507, f"run {name} has more than {MAX_RUN >> 20} MiB here, which is the most.")
        return store

    def _info(self, name: str, push: Push) -> Any:
        if bytes(push.info) == b"null":
            return None
        try:
            info = run_info_from_json(bytes(push.info))
        except (StoreError, KeyError) as err:
            raise PushError(422, f"info: {err}") from err
        if info.run != name:
            raise PushError(422, f"info describes run {info.run!r}, and the address names run {name!r}.")
        return info

    def _create(self, store: RunStore, info: Any) -> None:
        if info is None:
            raise PushError(422, f"run {store.folder.name} is not known here: its first push must hold info.")
        if sum(1 for _ in self._root.glob(f"*/{MARKER}")) >= MAX_PUSHED_RUNS:
            raise PushError(507, f"{MAX_PUSHED_RUNS} pushed runs are kept here, which is the most; prune some.")
        self._known = {key: kept for key, kept in self._known.items() if not key.startswith(f"{store.folder.name}/")}
        store.folder.mkdir(parents=True, exist_ok=True)
        store.write_json(MARKER, {"created": info.created})
        store.create(info)

    def _keep_files(self, store: RunStore, part: str, files: Iterable[msgspec.Raw], result: Accepted) -> None:
        kind, file_name = WHOLE[part]
        for index, raw in enumerate(files):
            try:
                value = msgspec.json.decode(raw, type=kind)
            except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as err:
                result.refused.append(Refused(part, index, str(err)[:300]))
                continue
            if (store.folder / file_name(value)).exists():
                result.duplicates += 1
            else:
                store.write_json(file_name(value), value)
                result.accepted += 1

    def _keep_lines(
        self, store: RunStore, part: str, file: str, lines: Iterable[msgspec.Raw], result: Accepted
    ) -> None:
        check, known = CHECKS[part], self._digests(store, file)
        for index, raw in enumerate(lines):
            try:
                value = check(bytes(raw), store.folder.name)
                line = to_json(value)
            except (StoreError, ValueError, KeyError, RecursionError) as err:
                result.refused.append(Refused(part, index, str(err)[:300]))
                continue
            digest = _digest(line)
            if digest in known:
                result.duplicates += 1
                continue
            if part == "records" and (value.attempt, value.look) in self._looks[store.folder.name]:
                text = f"observation {value.look} of attempt {value.attempt} is kept already, with other figures"
                result.refused.append(Refused(part, index, text))
                continue
            store.append_line(file, value)
            known.add(digest)
            if part == "records":
                self._looks[store.folder.name].add((value.attempt, value.look))
            result.accepted += 1

    def _digests(self, store: RunStore, file: str) -> set[bytes]:
        """Digests of the lines in a file, which is read only the first time."""
        key = f"{store.folder.name}/{file}"
        if key not in self._known:
            self._known[key] = {_digest(line) for line in store.lines(file)}
            if file == FILES["records"]:
                kept = store.values(file, record_from_json)
                self._looks[store.folder.name] = {(record.attempt, record.look) for record in kept}
        return self._known[key]


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()


def _checked_record(line: bytes, run: str) -> Any:
    record = record_from_json(line)
    if record.run != run:
        raise StoreError(f"the record is of run {record.run!r}, and the address names run {run!r}")
    return record


def _checked_as(kind: Any) -> Callable[[bytes, str], Any]:
    return lambda line, run: msgspec.json.decode(line, type=kind)


CHECKS: dict[str, Callable[[bytes, str], Any]] = {
    "records": _checked_record,
    "events": _checked_as(Event),
    "stances": _checked_as(LookStances),
    "replies": _checked_as(dict[str, Any]),
}


class PushApi:
    """The writing half of the API.

    Args:
        inbox: Stores the pushes.
        library: Reads the disk at once after a push.
        token: Token that every push requires, whatever the address; `None` turns pushing off.
    """

    def __init__(self, inbox: Inbox, library: Library, *, token: str | None) -> None:
        self._inbox = inbox
        self._library = library
        self._token = token

    def routes(self) -> list[Route]:
        """The one writing endpoint."""
        return [Route("/api/v1/runs/{run}/records", self.push, methods=["POST"])]

    async def push(self, request: Request) -> Response:
        """Keep what a trainer pushes; a push may be repeated safely."""
        if self._token is None:
            return refused(403, "pushing is off: start the service with a token (DRIFTWATCH_TOKEN) to turn it on.")
        if not carries(request.headers.get("authorization"), self._token):
            return refused(401, "a push needs the token: Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"})
        try:
            body = await _body(request, self._inbox.max_body)
            push = msgspec.json.decode(body, type=Push)
            result = await run_in_threadpool(self._inbox.keep, request.path_params["run"], push)
        except PushError as err:
            return refused(err.status, str(err))
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as err:
            return refused(422, f"expected a push as /api/v1/openapi.json describes it; found another thing ({err}).")
        except ClientDisconnect:
            return refused(400, "the push ended before its body did.")
        except (OSError, StoreError) as err:
            logger.warning("a push for run %s could not be kept: %s", request.path_params["run"][:128], err)
            return refused(503, f"the push could not be kept ({err}); send it again.", {"Retry-After": "15"})
        self._library.wake()
        return Json(result)


async def _body(request: Request, most: int) -> bytes:
    """The body of a request, if it is not larger than allowed.

    A larger body is still read up to a bound and thrown away, since a client that is cut off while it sends would not
    read the refusal.
    """
    text = request.headers.get("content-length", "0")
    declared = int(text) if text.isdecimal() else 0
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if max(size, declared) <= most:
            chunks.append(chunk)
        else:
            chunks.clear()
            if size > most + DRAINED:
                break
    found = max(size, declared)
    if found > most:
        raise PushError(
            413, f"a push has at most {most} bytes, this one {found} or more: send fewer observations at a time."
        )
    return b"".join(chunks)
