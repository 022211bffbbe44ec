"""PrometheusExporter: /metrics for a scrape, and a textfile or a push for jobs that end between two scrapes.

The exporter is a collector over the last record: `export` assigns one reference and a scrape reads it, so that no
scrape mixes two looks and no lock is needed. Its registry is its own: a second trainer or a re-run notebook cell cannot
collide.
"""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry, pushadd_to_gateway, start_http_server, write_to_textfile

from driftwatch.errors import ConfigError
from driftwatch.exporters.collector import RunCollector
from driftwatch.metrics import Sample, samples
from driftwatch.record import Record, RunInfo
from driftwatch.store import RunStore

logger = logging.getLogger(__name__)

DEFAULT_PORT = 9464  # registered by custom for exporters of this kind, and free on most hosts
PUSH_SECONDS = 5.0  # a gateway that answers later than this has lost this push, not the training


class PrometheusExporter:
    """Serves the last look at http://address:port/metrics.

    Args:
        address: Where to listen; loopback by default, `DRIFTWATCH_ADDRESS` overrides it ("0.0.0.0" for all).
        port: Preferred port, `DRIFTWATCH_PORT` overrides it; 0 takes a free one; `None` does not listen. A port in use
            is not fatal: a free one is taken, logged, and written to the run's endpoint.json.
        textfile: File for node_exporter's textfile collector, rewritten at every look.
        pushgateway: URL of a Pushgateway, pushed to at the end of the run and at every look.
    """

    name = "prometheus"

    def __init__(
        self,
        *,
        address: str | None = None,
        port: int | None = DEFAULT_PORT,
        textfile: str | Path | None = None,
        pushgateway: str | None = None,
    ) -> None:
        if port is not None and not 0 <= port <= 65535:
            raise ConfigError(f"a port is a number from 0 to 65535; found {port}.")
        self._address = address
        self._port = port
        self._textfile = Path(textfile) if textfile else None
        self._pushgateway = pushgateway
        self._server: Any = None
        self._thread: Thread | None = None
        self._info: RunInfo | None = None
        self._record: Record | None = None
        self._state = "running"
        self._heartbeat = time.time()
        self.registry = CollectorRegistry()
        self.registry.register(RunCollector(self._current))
        self.url: str | None = None

    def open(self, info: RunInfo, store: RunStore) -> None:
        """Start listening and say where."""
        self.close_server()
        self._info, self._record, self._state = info, None, "running"
        if self._port is None:
            return
        address = os.environ.get("DRIFTWATCH_ADDRESS") or self._address or "127.0.0.1"
        wanted = int(os.environ.get("DRIFTWATCH_PORT") or self._port)
        try:
            self._server, self._thread = start_http_server(wanted, addr=address, registry=self.registry)
        except OSError as err:
            logger.warning("port %d on %s cannot be used (%s); taking a free one", wanted, address, err.strerror)
            try:
                self._server, self._thread = start_http_server(0, addr=address, registry=self.registry)
            except OSError as second:
                logger.warning("no port on %s can be used (%s); /metrics is not served", address, second.strerror)
                return
        port = self._server.server_port
        self.url = f"http://{address}:{port}"
        logger.info("serving metrics of run %s at %s/metrics", info.run, self.url)
        store.write_json("endpoint.json", {"address": address, "port": port, "url": self.url, "pid": os.getpid()})

    def export(self, record: Record) -> None:
        """Make this record the one that is scraped; write and push it where asked."""
        self._record = record
        self._hand_over()

    def beat(self, timestamp: float) -> None:
        """Note that the trainer lives."""
        self._heartbeat = timestamp

    def close(self, state: str) -> None:
        """Hand over the final state, then stop listening."""
        self._state = state
        self._hand_over()
        self.close_server()

    def close_server(self) -> None:
        """Stop listening; safe to repeat."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._thread is not None:
            self._thread.join(timeout=PUSH_SECONDS)
            self._thread = None
        self.url = None

    def _current(self) -> Iterator[Sample]:
        if self._info is not None:
            yield from samples(self._info, self._record, state=self._state, heartbeat=self._heartbeat)

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
            )
