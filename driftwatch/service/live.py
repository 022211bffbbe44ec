"""The page of the run in training, which the callback itself serves beside /metrics.

The page reads the run's folder as any reader does, on threads of its own. The training thread passes nothing to it and
waits only until the port is open.
"""

import functools
import gzip
import logging
import os
import socket
import threading
from collections.abc import Callable

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest

from driftwatch.exporters.prometheus import MetricsServer, PrometheusExporter, Server
from driftwatch.service.app import DriftwatchApp, create_app
from driftwatch.service.exposition import GZIP_LEVEL
from driftwatch.service.library import Library
from driftwatch.service.security import LOOPBACK_NAMES, is_loopback
from driftwatch.store.run_store import RunStore

logger = logging.getLogger(__name__)

TOKEN = "DRIFTWATCH_TOKEN"
LIVE_POLL_SECONDS = 1.0
STOP_SECONDS = 3.0  # time limit for requests that are being answered when training ends


class PageServer:
    """Serves page and metrics of one run on a daemon thread.

    Args:
        address: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        store: The run.
        registry: The metrics that /metrics shows.
        token: Token that the page requires; `None` for none. /metrics never requires one, as scrapers expect.

    Raises:
        OSError: The port is in use, or this user may not take it.
    """

    def __init__(
        self, address: str, port: int, store: RunStore, registry: CollectorRegistry, *, token: str | None = None
    ) -> None:
        library = Library(store.folder, poll_seconds=LIVE_POLL_SECONDS)
        self._socket = listening(address, port)
        self._app = create_app(
            library,
            token=token,
            needs_token_to_read=token is not None,
            hosts=LOOPBACK_NAMES if is_loopback(address) else None,
            single=store.folder.resolve().name,
            metrics=lambda: gzip.compress(generate_latest(registry), GZIP_LEVEL),
            free=("/metrics",),
        )
        self._server = StreamingServer(self._app, max_connections=64)
        self._thread = threading.Thread(target=self._run, name="driftwatch-page", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._socket.getsockname()[1])

    def close(self, state: str) -> None:
        """Tell open pages what became of the run, and stop."""
        self._app.broadcast.close(state)
        self._server.should_exit = True
        self._thread.join(timeout=2 * STOP_SECONDS)
        self._socket.close()

    def abandon(self) -> None:
        """Close the socket that a forked child has inherited."""
        self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except Exception:
            logger.exception("the page and /metrics are not served any more; training goes on")


class StreamingServer(uvicorn.Server):
    """A server whose shutdown does not wait for open streams: they are ended first.

    Args:
        app: The application.
        max_connections: Further ones are answered with 503.
    """

    def __init__(self, app: DriftwatchApp, *, max_connections: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=max_connections,
                timeout_graceful_shutdown=int(STOP_SECONDS),
            )
        )
        self._broadcast = app.broadcast

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and finish what is being answered."""
        self._broadcast.close()
        await super().shutdown(sockets)


def serve_page(address: str, port: int, store: RunStore, registry: CollectorRegistry) -> Server:
    """Page and metrics; metrics alone where the page may not be shown.

    Raises:
        OSError: The port is in use, or this user may not take it.
    """
    token = os.environ.get(TOKEN) or None
    if is_loopback(address):
        return PageServer(address, port, store, registry)
    if token is None:
        logger.warning(
            "the page of this run shows the model's answers, so %s gets /metrics only; set %s to show it with a token",
            address,
            TOKEN,
        )
        return MetricsServer(address, port, store, registry)
    return PageServer(address, port, store, registry, token=token)


def listening(address: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        OSError: The port is in use, or this user may not take it.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.listen(128)
    except OSError:
        opened.close()
        raise
    return opened


# What the name "prometheus" gives: the exporter, with the page beside its metrics.
prometheus: Callable[..., PrometheusExporter] = functools.partial(PrometheusExporter, serve=serve_page)
