"""The JSON API over a library, for the page and for users' scripts; /api/v1/openapi.json describes it."""

import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from threading import Lock
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from driftwatch.record.decision import all_figures
from driftwatch.record.figures import TopicFigures
from driftwatch.record.record import Record, RunInfo
from driftwatch.report.movers import Movers, moved_most
from driftwatch.report.verdict import Verdict
from driftwatch.service.discovery import targets
from driftwatch.service.follow import FollowedRun
from driftwatch.service.library import Library, RunRow
from driftwatch.service.stream import Broadcast, event_stream
from driftwatch.store.run_store import Event

FIRST_SECONDS = 10.0  # how long a request waits while the folders are read for the first time
MAX_RECORDS = 200  # in one answer
KEPT_BYTES = 64 << 20  # for answers with curves and items, since many pages show the same run


class Problem(msgspec.Struct):
    """Why a request was refused: what was expected, what was found, what to do."""

    error: str


class RunList(msgspec.Struct):
    """All runs, running ones first.

    Attributes:
        single: Whether this is the page of one run in training rather than a service.
        problem: What is wrong with the folder itself, or null.
        ready: Whether the folder has been read once.
    """

    runs: list[RunRow]
    single: str | None
    problem: str | None
    ready: bool


class RunDetail(msgspec.Struct):
    """One run: its attributes, its verdict and its last observation.

    Attributes:
        topics: The net shift of each topic at `last_measured`, with the figures that belong to it; empty without judged
            replies.
    """

    row: RunRow
    info: RunInfo | None
    verdict: Verdict
    topics: list[TopicFigures]
    events: list[Event]
    last: Record | None
    last_measured: Record | None


class RecordPage(msgspec.Struct):
    """Whole records, oldest first; `next` is the position of the next page, null at the end."""

    records: list[Record]
    total: int
    next: int | None


class Json(Response):
    """A JSON answer by msgspec: data classes become objects, and figures that are not finite become null."""

    media_type = "application/json"

    def __init__(self, content: Any = None, status_code: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(content, status_code, {"Cache-Control": "no-store", **(headers or {})})

    def render(self, content: Any) -> bytes:
        """Encode the answer."""
        return msgspec.json.encode(content)


def refused(status: int, text: str, headers: dict[str, str] | None = None) -> Json:
    """An answer that says why the request was refused."""
    return Json(Problem(text), status, headers)


async def unpacked(request: Request, body: bytes, media_type: str) -> Response:
    """An answer from a body kept in gzip, decompressed for clients that do not accept gzip."""
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        body = await run_in_threadpool(gzip.decompress, body)
    return Response(body, media_type=media_type, headers=headers)


class Answers:
    """A cache of answers as bytes; an answer is dropped when its run changes, or when it is the least recently used.

    Args:
        room: How many bytes the cache may hold.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._size = 0
        self._kept: OrderedDict[tuple[str, str], tuple[int, bytes]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[str, str], version: int, make: Callable[[], bytes]) -> bytes:
        """The answer of this version; `make` makes it if it is not in the cache."""
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known[0] == version:
                self._kept.move_to_end(key)
                return known[1]
        made = make()
        with self._lock:
            self._size += len(made) - len(self._kept.pop(key, (0, b""))[1])
            self._kept[key] = (version, made)
            while self._size > self._room and len(self._kept) > 1:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._size -= len(dropped)
        return made


class Api:
    """The reading half of the API.

    Args:
        library: The runs to answer about.
        broadcast: Passes changes to the streams.
        single: Name of the one run, where this is the page of a run in training.
    """

    def __init__(self, library: Library, broadcast: Broadcast, *, single: str | None = None) -> None:
        self._library = library
        self._broadcast = broadcast
        self._single = single
        self._answers = Answers(KEPT_BYTES)

    def routes(self) -> list[Route]:
        """Every reading endpoint."""
        return [
            Route("/api/v1/runs", self.list_runs),
            Route("/api/v1/events", self.all_events),
            Route("/api/v1/sd", self.discovery),
            Route("/api/v1/runs/{run}", self._of_run(self.show)),
            Route("/api/v1/runs/{run}/series", self._of_run(self.series)),
            Route("/api/v1/runs/{run}/movers", self._of_run(self.movers)),
            Route("/api/v1/runs/{run}/records", self._of_run(self.records), methods=["GET"]),
            Route("/api/v1/runs/{run}/events", self._of_run(self.events)),
        ]

    async def list_runs(self, request: Request) -> Response:
        """All runs with state and verdict."""
        library = self._library
        return Json(RunList(library.rows(), self._single, library.problem, library.is_ready))

    async def all_events(self, request: Request) -> Response:
        """Server-sent events of all runs."""
        return event_stream(self._library, self._broadcast, None)

    async def discovery(self, request: Request) -> Response:
        """Addresses of running trainers, for Prometheus' HTTP service discovery."""
        return Json(await run_in_threadpool(targets, self._library))

    async def show(self, run: FollowedRun, request: Request) -> Response:
        """One run and its last observation."""
        row = self._library.row(run.name)
        if row is None:
            return refused(404, f"run {run.name} has just disappeared.")
        return Json(
            RunDetail(row, run.info, row.verdict, _figures(run), run.events[-200:], run.last, run.last_measured)
        )

    async def series(self, run: FollowedRun, request: Request) -> Response:
        """The curves of one run, from position `since` on."""
        since = _number(request, "since", 0)
        if since is None:
            return refused(400, "since is a position, 0 or more.")
        body = await run_in_threadpool(self._curves, run, since)
        return await unpacked(request, body, "application/json")

    async def movers(self, run: FollowedRun, request: Request) -> Response:
        """The items that moved most, with the model's answers before and after."""
        limit = _number(request, "limit", 12)
        if limit is None or limit > 100:
            return refused(400, "limit is a number from 0 to 100.")
        body = await run_in_threadpool(self._moved, run, limit)
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def records(self, run: FollowedRun, request: Request) -> Response:
        """Whole records, oldest first, from position `since` on."""
        since, limit = _number(request, "since", 0), _number(request, "limit", 50)
        if since is None or limit is None or not 0 < limit <= MAX_RECORDS:
            return refused(400, f"since is a position, 0 or more, and limit a number from 1 to {MAX_RECORDS}.")
        refs = run.looks
        found = await run_in_threadpool(run.records, refs[since : since + limit])
        after = since + limit
        return Json(RecordPage(found, len(refs), after if after < len(refs) else None))

    async def events(self, run: FollowedRun, request: Request) -> Response:
        """Server-sent events of one run."""
        return event_stream(self._library, self._broadcast, run.name)

    def _curves(self, run: FollowedRun, since: int) -> bytes:
        """The curves in gzip, a quarter of their size, compressed once for all pages that show the same run."""
        key = (run.name, f"since {since}")
        return self._answers.get(
            key, run.version, lambda: gzip.compress(msgspec.json.encode(self._library.curves(run, since)), 1)
        )

    def _moved(self, run: FollowedRun, limit: int) -> bytes:
        key = (run.name, f"movers {limit}")
        return self._answers.get(key, run.version, lambda: msgspec.json.encode(_movers(run, limit)))

    def _of_run(
        self, handler: Callable[[FollowedRun, Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            name = request.path_params["run"]
            if not self._library.is_ready and not await run_in_threadpool(self._library.wait_ready, FIRST_SECONDS):
                return refused(503, "the run folders are being read for the first time.", {"Retry-After": "5"})
            run = self._library.get(name)
            if run is None:
                return refused(404, f"no run {name[:128]!r} here; /api/v1/runs lists those that are.")
            return await handler(run, request)

        return handle


def _figures(run: FollowedRun) -> list[TopicFigures]:
    if run.info is None or run.last_measured is None:
        return []
    return list(all_figures(run.info, run.last_measured))


def _movers(run: FollowedRun, limit: int) -> Movers:
    if run.info is None:
        return Movers((), run.problem or "the run cannot be read")
    try:
        return moved_most(run.store, run.info, limit=limit)
    except Exception as err:  # noqa: BLE001 - a folder may hold anything, and the page has other things to show
        return Movers((), f"the items cannot be compared ({type(err).__name__}: {err})")


def _number(request: Request, name: str, default: int) -> int | None:
    """A query parameter that is a whole number, 0 or more; `None` if it is anything else."""
    text = request.query_params.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
