"""Server-sent events, which tell a page that a run changed; the page then asks for it, so a missed event loses nothing.

The library's thread publishes names of runs. Each open stream keeps the set of names that it has not sent yet, so a
slow reader costs a small set and never a queue.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec
from starlette.responses import JSONResponse, Response, StreamingResponse

from driftwatch.service.library import Library

HEARTBEAT_SECONDS = 15.0  # keeps proxies from closing a quiet stream
MAX_STREAMS = 200
RETRY_MS = 3000


class Broadcast:
    """Passes changes from the library's thread to the streams of one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: set[Subscription] = set()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the event loop on which the streams run."""
        self._loop = loop

    def publish(self, names: set[str]) -> None:
        """Tell all streams which runs changed; may be called from any thread."""
        loop = self._loop
        if names and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._publish, set(names))

    def close(self, state: str | None = None) -> None:
        """End all streams with a last event, so that a shutdown need not wait for them; may be called from any thread.

        Args:
            state: How the run in training ended; `None` where the service just stops and sends no last event.
        """
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._end, state)

    def _end(self, state: str | None) -> None:
        for stream in list(self._streams):
            stream.end(state)

    @property
    def num_streams(self) -> int:
        """The number of open streams."""
        return len(self._streams)

    @contextmanager
    def subscription(self, run: str | None) -> Iterator["Subscription"]:
        """A subscription to one run, or to all with `None`, that lasts as long as the block."""
        stream = Subscription(run)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    def _publish(self, names: set[str]) -> None:
        for stream in self._streams:
            stream.tell(names)


class Subscription:
    """The changes that one stream has yet to send."""

    def __init__(self, run: str | None) -> None:
        self._run = run
        self._pending: set[str] = set()
        self._told = asyncio.Event()
        self._ended = False
        self.last_word: str | None = None

    def tell(self, names: set[str]) -> None:
        """Note that runs have changed."""
        mine = names if self._run is None else names & {self._run}
        if mine:
            self._pending |= mine
            self._told.set()

    def end(self, state: str | None) -> None:
        """Let the stream finish, with `state` as its last event if there is one."""
        self._ended, self.last_word = True, state
        self._told.set()

    async def changes(self, heartbeat_seconds: float) -> AsyncIterator[set[str]]:
        """Sets of changed runs, as they come; an empty set after `heartbeat_seconds` without a change."""
        while not self._ended:
            try:
                await asyncio.wait_for(self._told.wait(), heartbeat_seconds)
            except asyncio.TimeoutError:
                yield set()
                continue
            self._told.clear()
            names, self._pending = self._pending, set()
            if names:
                yield names


def event_stream(library: Library, broadcast: Broadcast, run: str | None) -> Response:
    """An answer that streams changes of one run, or of all with `None`, as they happen.

    Its events are "run" with the run's row, "gone" with {run} when its folder has disappeared, and "ended" with {state}
    when the trainer that serves this page ends.
    """
    if broadcast.num_streams >= MAX_STREAMS:
        return JSONResponse(
            {"error": f"{MAX_STREAMS} streams are open, which is the most; ask /api/v1/runs instead, or later."},
            status_code=503,
            headers={"Retry-After": "30"},
        )

    async def events() -> AsyncIterator[bytes]:
        with broadcast.subscription(run) as stream:
            yield f"retry: {RETRY_MS}\n\n".encode()
            if run is not None:
                yield _event(library, run)
            async for changed in stream.changes(HEARTBEAT_SECONDS):
                if not changed:
                    yield b": still here\n\n"
                for name in sorted(changed):
                    yield _event(library, name)
            if stream.last_word is not None:
                yield b"event: ended\ndata: " + msgspec.json.encode({"state": stream.last_word}) + b"\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


def _event(library: Library, name: str) -> bytes:
    row = library.row(name)
    if row is None:
        return b"event: gone\ndata: " + msgspec.json.encode({"run": name}) + b"\n\n"
    return b"event: run\ndata: " + msgspec.json.encode(row) + b"\n\n"
