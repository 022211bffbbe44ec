"""/metrics of many runs, answered as fast as that of one.

The block of text of a run is made once per observation (or change of state) and kept. The blocks are joined metric by
metric, since the format wants all samples of a metric together. The library's thread makes and compresses the whole
text whenever it has read the folders: two hundred runs are 20 MB of text, and a scrape that had to make or send that
much would wait for the interpreter at every chunk while other requests keep it busy. Runs that ended long ago leave the
scrape: by then Prometheus has their curves in its history, and the number of series stays bounded.
"""

import gzip
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import CollectorRegistry

from driftwatch.exporters.collector import RunCollector
from driftwatch.record.metrics import HEARTBEAT, Metric
from driftwatch.record.samples import samples
from driftwatch.service.follow import FollowedRun
from driftwatch.service.library import Library

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
KEEP_SECONDS = 6 * 3600.0  # after the last sign of life; by then an alert at the end of a run has long been sent
MOST_RUNS = 500  # in one scrape; the most recently seen
GZIP_LEVEL = 1  # makes a twentieth of the size; level 6 takes three times as long for little more
_Key = tuple[object, ...]  # changes whenever the block has to be made again
_Block = dict[str, bytes]  # the lines of one run by name of the metric, with their header


class MetricsText:
    """The text of a scrape over all runs of a library.

    Args:
        library: The runs to show.
        keep_seconds: How long an ended run stays in the scrape.
        most_runs: How many runs one scrape shows; those seen most recently are taken.
    """

    def __init__(self, library: Library, *, keep_seconds: float = KEEP_SECONDS, most_runs: int = MOST_RUNS) -> None:
        self._library = library
        self._keep_seconds = keep_seconds
        self._most_runs = most_runs
        self._blocks: dict[str, tuple[_Key, _Block]] = {}
        self._shown: list[tuple[str, _Key]] = []  # the runs and keys behind `_made`
        self._made: bytes | None = None
        self._making = threading.Lock()
        library.listen(self._refreshed)

    def compressed(self) -> bytes:
        """The text of the exposition format in gzip, as of the last time that the folders were read."""
        return self._made if self._made is not None else self._make()

    def _refreshed(self, names: set[str]) -> None:
        """Make the text again on the library's thread, so that no scrape waits; heartbeats change without names."""
        self._make()

    def _make(self) -> bytes:
        with self._making:
            self._blocks = {run.name: self._block(run) for run in self._current()}
            current = [(name, key) for name, (key, _) in self._blocks.items()]
            if self._made is None or current != self._shown:
                self._made = gzip.compress(_joined([block for _, block in self._blocks.values()]), GZIP_LEVEL)
                self._shown = current
            return self._made

    def _current(self) -> list[FollowedRun]:
        runs = [run for run in self._library if run.info is not None and self._is_current(run)]
        return sorted(runs, key=lambda run: -run.last_seen)[: self._most_runs]

    def _is_current(self, run: FollowedRun) -> bool:
        return run.state == "running" or run.last_seen >= self._library.clock() - self._keep_seconds

    def _block(self, run: FollowedRun) -> tuple[_Key, _Block]:
        key = (run.version, run.state, run.heartbeat)
        known = self._blocks.get(run.name)
        if known is not None and known[0] == key:
            return known
        try:
            if known is not None and known[0][:2] == key[:2]:
                return key, known[1] | _rendered(run, only=HEARTBEAT)  # nothing else has changed
            return key, _rendered(run)
        except Exception:
            # One broken folder must not take all the others out of the scrape.
            logger.exception("the metrics of run %s cannot be shown", run.name)
            return key, {}


def _rendered(run: FollowedRun, *, only: Metric | None = None) -> _Block:
    assert run.info is not None
    # Only the folder's name is unique here; two runs with one label would make the whole scrape invalid.
    info = replace(run.info, run=run.name)
    record = None if only is not None else run.last
    measured = None if record is None else run.last_measured
    found = samples(info, record, state=run.state, heartbeat=run.heartbeat, found=measured)
    unique = {(sample.metric.name, sample.labels): sample for sample in found if only in (None, sample.metric)}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(unique.values))
    return dict(_by_metric(generate_latest(registry)))


def _joined(blocks: list[_Block]) -> bytes:
    names = dict.fromkeys(name for block in blocks for name in block)
    parts: list[bytes] = []
    for name in sorted(names):
        found = [block[name] for block in blocks if name in block]
        parts += found[:1]
        parts += map(_without_header, found[1:])
    return b"".join(parts)


def _by_metric(text: bytes) -> Iterator[tuple[str, bytes]]:
    for part in (b"\n" + text).split(b"\n# HELP ")[1:]:  # at the start of a line only, as a label may hold it too
        yield part.split(b" ", 1)[0].decode(), b"# HELP " + part.rstrip(b"\n") + b"\n"


def _without_header(block: bytes) -> bytes:
    """The samples of a block, without its # HELP and # TYPE lines."""
    return block.split(b"\n", 2)[2]
