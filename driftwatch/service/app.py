"""create_app: an ASGI application with the page, API, streams and metrics of a library."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from driftwatch.service.api import Api, unpacked
from driftwatch.service.exposition import CONTENT_TYPE, MetricsText
from driftwatch.service.library import Library
from driftwatch.service.openapi import document
from driftwatch.service.page import page_routes
from driftwatch.service.push import MAX_BODY, Inbox, PushApi
from driftwatch.service.security import LOOPBACK_NAMES, Guard
from driftwatch.service.stream import Broadcast


class DriftwatchApp(Starlette):
    """The ASGI application; its `broadcast` ends the open streams before a shutdown."""

    broadcast: Broadcast


def create_app(
    library: Library,
    *,
    token: str | None = None,
    needs_token_to_read: bool = False,
    hosts: Collection[str] | None = LOOPBACK_NAMES,
    single: str | None = None,
    metrics: Callable[[], bytes] | None = None,
    free: Collection[str] = (),
    max_body: int = MAX_BODY,
) -> DriftwatchApp:
    """Make the monitoring service, or the page of one run in training.

    Args:
        library: The runs to serve; it is started and stopped with the application.
        token: The token that pushes require; `None` turns pushes off.
        needs_token_to_read: Whether reading requires the token too.
        hosts: Names under which the service may be addressed; `None` for any.
        single: Name of the one run, where this is the page of a run in training; it takes no pushes.
        metrics: Gives the text of /metrics in gzip; `None` makes it from the library.
        free: Paths that need no token to read.
        max_body: Largest push, in bytes.
    """
    broadcast = Broadcast()
    library.listen(broadcast.publish)
    text = metrics or MetricsText(library).compressed

    async def scrape(request: Request) -> Response:
        return await unpacked(request, await run_in_threadpool(text), CONTENT_TYPE)

    async def healthy(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(request: Request) -> Response:
        if library.is_ready and library.problem is None:
            return PlainTextResponse("ready\n")
        return PlainTextResponse(f"not ready: {library.problem or 'reading the run folders'}\n", status_code=503)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        broadcast.attach(asyncio.get_running_loop())
        library.start()
        try:
            yield
        finally:
            broadcast.close()
            await run_in_threadpool(library.stop)

    api = Api(library, broadcast, single=single)
    push = [] if single is not None else PushApi(Inbox(library.root, max_body=max_body), library, token=token).routes()
    routes = [
        *push,
        *api.routes(),
        Route("/api/v1/openapi.json", document),
        Route("/metrics", scrape),
        Route("/healthz", healthy),
        Route("/readyz", ready),
        *page_routes(),
    ]
    guard = Middleware(Guard, token=token if needs_token_to_read else None, hosts=hosts, free=free)
    app = DriftwatchApp(routes=routes, middleware=[guard], lifespan=lifespan)
    app.broadcast = broadcast
    return app
