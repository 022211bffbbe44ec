"""PrometheusExporter: /metrics for a scrape, and a textfile or a push for jobs that end between two scrapes.

The exporter is a collector over the last record. `export` assigns one reference and a scrape reads it, so no scrape
mixes two observations and no lock is needed. The exporter has a registry of its own, so a second trainer or a notebook
cell that runs again cannot collide with it.
"""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, Any, Protocol

from msgspec import Meta
from prometheus_client import CollectorRegistry, pushadd_to_gateway, start_http_server, write_to_textfile

from driftwatch.documents.checking import checked
from driftwatch.errors import ExportError
from driftwatch.exporters.collector import RunCollector
from driftwatch.record.record import Record, RunInfo
from driftwatch.record.samples import Sample, samples
from driftwatch.store.run_store import RunStore

logger = logging.getLogger(__name__)

DEFAULT_PORT = 9464  # customary for exporters of this kind, and free on most hosts
LINGER_SECONDS = 60.0  # the end of the run can be scraped for at most so long, if anybody scrapes
USUAL_INTERVAL = 15.0  # assumed interval of a scraper that has come only once
REPLY_SECONDS = 0.5  # time for a reply to leave, once it is made
PUSH_SECONDS = 5.0  # time limit of a push; a gateway that takes longer misses this push and does not delay training
_OF_A_RUN = ("_server", "_info", "_record", "_state", "_heartbeat", "_scrapes", "_told", "registry", "_scraped", "url")


class Server(Protocol):
    """A server that listens on behalf of an exporter."""

    @property
    def port(self) -> int:
        """The port in use."""
        ...

    def close(self, state: str) -> None:
        """Stop listening, within seconds; `state` is the state in which the run ended."""
        ...

    def abandon(self) -> None:
        """Close the socket that a forked child has inherited, and do nothing else."""
        ...


Serve = Callable[[str, int, RunStore, CollectorRegistry], Server]


class MetricsServer:
    """A server of /metrics alone, by the one that prometheus_client brings.

    Args:
        address: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        store: Folder of the run; not used here, but needed by servers that also have a page.
        registry: The registry that is scraped.

    Raises:
        OSError: The port is in use, or may not be taken.
    """

    def __init__(self, address: str, port: int, store: RunStore, registry: CollectorRegistry) -> None:
        self._server, self._thread = start_http_server(port, addr=address, registry=registry)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_port)

    def close(self, state: str) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=PUSH_SECONDS)

    def abandon(self) -> None:
        """Close the socket that a forked child has inherited."""
        self._server.socket.close()


class PrometheusExporter:
    """Serves the last observation at http://address:port/metrics.

    `serve` makes the server that listens; that of the exporter called "prometheus" also has the run's page.

    Raises:
        ConfigError: A setting cannot work.
    """

    name = "prometheus"

    @checked
    def __init__(
        self,
        *,
        address: Annotated[
            str | None,
            Meta(
                examples=["0.0.0.0"],
                description="Where to listen; loopback by default, `DRIFTWATCH_ADDRESS` overrides it "
                '("0.0.0.0" for all).',
            ),
        ] = None,
        port: Annotated[
            int | None,
            Meta(
                ge=0,
                le=65535,
                title="a port",
                description="Preferred port, `DRIFTWATCH_PORT` overrides it; 0 takes a free one; `None` does not "
                "listen. A port in use is not fatal: a free one is taken, logged, and written to the run's "
                "endpoint.json.",
            ),
        ] = DEFAULT_PORT,
        textfile: Annotated[
            str | Path | None,
            Meta(description="File for node_exporter's textfile collector, rewritten at every observation."),
        ] = None,
        pushgateway: Annotated[
            str | None,
            Meta(description="URL of a Pushgateway, pushed to at the end of the run and at every observation."),
        ] = None,
        serve: Serve = MetricsServer,
    ) -> None:
        self._address = address
        self._port = port
        self._textfile = Path(textfile) if textfile else None
        self._pushgateway = pushgateway
        self._serve = serve
        self._begin()

    def _begin(self) -> None:
        """Set everything that is not a setting to its state before a run."""
        self._server: Server | None = None
        self._info: RunInfo | None = None
        self._record: Record | None = None
        self._found: Record | None = None  # the last observation that found anything
        self._state = "running"
        self._heartbeat = time.time()
        self._scrapes: deque[float] = deque(maxlen=2)
        self._told = Event()
        self.registry = CollectorRegistry()
        self.registry.register(RunCollector(self._current))
        self._scraped = CollectorRegistry()  # the same for scrapes, which are noted
        self._scraped.register(RunCollector(self._noting_a_scrape))
        self.url: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy, in this process or another one: the settings, without a port and without a run."""
        return {name: value for name, value in vars(self).items() if name not in _OF_A_RUN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the settings that `__getstate__` kept, in a state before a run."""
        vars(self).update(state)
        self._begin()

    def open(self, info: RunInfo, store: RunStore) -> None:
        """Start listening, and log and store the address."""
        self.close_server()
        self._info, self._record, self._found, self._state = info, None, None, "running"
        self._scrapes.clear()
        if self._port is None:
            return
        address = os.environ.get("DRIFTWATCH_ADDRESS") or self._address or "127.0.0.1"
        wanted = int(os.environ.get("DRIFTWATCH_PORT") or self._port)
        try:
            self._server = self._serve(address, wanted, store, self._scraped)
        except OSError as err:
            logger.warning("port %d on %s cannot be used (%s); taking a free one", wanted, address, err.strerror)
            try:
                self._server = self._serve(address, 0, store, self._scraped)
            except OSError as second:
                logger.warning("no port on %s can be used (%s); /metrics is not served", address, second.strerror)
                return
        port = self._server.port
        self.url = f"http://{address}:{port}"
        logger.info("serving metrics of run %s at %s/metrics", info.run, self.url)
        place = {"address": address, "port": port, "url": self.url, "pid": os.getpid(), "host": socket.gethostname()}
        store.write_json("endpoint.json", place)

    def export(self, record: Record) -> None:
        """Make this record the one that is scraped; write it and push it, if that is configured."""
        self._record = record
        if record.found_anything:
            self._found = record
        self._hand_over()

    def beat(self, timestamp: float) -> None:
        """Note that the trainer lives, also in what is pushed or written, which outlives the trainer."""
        self._heartbeat = timestamp
        self._hand_over()

    def close(self, state: str) -> None:
        """Hand over the final state, and stop listening once a scraper has it, without making the caller wait."""
        self._state = state
        try:
            self._hand_over()
        finally:
            self._linger()

    def abandon(self) -> None:
        """Give up the server in a forked child, since the port belongs to its parent."""
        server, self._server = self._server, None
        if server is not None:
            server.abandon()

    def close_server(self) -> None:
        """Stop listening; safe to repeat."""
        server, self._server = self._server, None
        if server is not None:
            server.close(self._state)
        self.url = None

    def _linger(self) -> None:
        """Keep listening until the scraper has come again, since a run that just vanishes looks like a crash.

        The thread is not a daemon, so a process that ends at once stays up for that long, and no longer.
        """
        server, patience = self._server, self._until_next_scrape()
        if server is None or patience is None:
            self.close_server()
            return
        self._told.clear()
        try:
            Thread(
                target=self._close_when_told, args=(server, patience), name="driftwatch-linger", daemon=False
            ).start()  # daemon is stated, since the thread would otherwise be a daemon like the thread that delivers
        except RuntimeError:  # the interpreter is going down
            self.close_server()

    def _close_when_told(self, server: Server, patience: float) -> None:
        if self._told.wait(patience):
            time.sleep(REPLY_SECONDS)
        if self._server is server:  # otherwise a new run listens by now
            self.close_server()

    def _until_next_scrape(self) -> float | None:
        """Seconds in which the next scrape should come; `None` if nobody scrapes."""
        scrapes, now = tuple(self._scrapes), time.monotonic()
        if not scrapes:
            return None
        interval = scrapes[-1] - scrapes[0] if len(scrapes) > 1 else USUAL_INTERVAL
        if now - scrapes[-1] > 2 * interval + 1:
            return None
        return min(1.5 * interval + 1, LINGER_SECONDS)

    def _noting_a_scrape(self) -> Iterator[Sample]:
        self._scrapes.append(time.monotonic())
        yield from self._current()
        self._told.set()

    def _current(self) -> Iterator[Sample]:
        if self._info is not None:
            yield from samples(
                self._info, self._record, state=self._state, heartbeat=self._heartbeat, found=self._found
            )

    def _hand_over(self) -> None:
        if self._info is None:
            return
        if self._textfile is not None:
            write_to_textfile(str(self._textfile), self.registry)
        if self._pushgateway is not None:
            pushadd_to_gateway(
                self._pushgateway,
                job="driftwatch",
                registry=self.registry,
                grouping_key={"run": self._info.run},
                timeout=PUSH_SECONDS,
                handler=_pushed,
            )


def _pushed(
    url: str, method: str, timeout: float | None, headers: Sequence[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """A push for prometheus_client through our own HTTP client, so that its limits hold and no password is logged."""
    from driftwatch.http.client import send, shown  # most runs push nothing, and httpx takes a while to load
    from driftwatch.http.reply import NoReply

    def push() -> None:
        who = f"the Pushgateway at {shown(url.split('/metrics/')[0])}"
        try:
            reply = send(method, url, content=data, headers=dict(headers), timeout=timeout or PUSH_SECONDS)
        except NoReply as err:
            raise ExportError(
                f"{who} could not be reached ({err}); the next observation is pushed to it again."
            ) from None
        if not reply.is_success:
            said = reply.body[:300].decode(errors="replace").strip() or "without a reason"
            raise ExportError(f"{who} refused a push ({reply.status}): {said}")

    return push
