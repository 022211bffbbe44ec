"""/metrics of many runs, in the time of one.

A run's block of text is made once a look (or change of state) and kept; a scrape joins the blocks metric by metric, as
the format wants all samples of a metric together. Runs that ended long ago leave the scrape: their curves are in the
server's history by then, and the number of series stays bounded.
"""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import CollectorRegistry

from driftwatch.exporters.collector import RunCollector
from driftwatch.metrics import HEARTBEAT, Metric, samples
from driftwatch.service.follow import FollowedRun
from driftwatch.service.library import Library

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
KEEP_SECONDS = 6 * 3600.0  # after the last sign of life; an alert that a run ended in has long been sent by then
MOST_RUNS = 500  # in one scrape; the most recently seen
_Block = dict[str, bytes]  # by metric: its lines of one run, header included


class MetricsText:
    """The text of a scrape over a library.

    Args:
        library: Whose runs.
        keep_seconds: How long an ended run stays in the scrape.
        most_runs: In one scrape; the most recently seen.
    """

    def __init__(self, library: Library, *, keep_seconds: float = KEEP_SECONDS, most_runs: int = MOST_RUNS) -> None:
        self._library = library
        self._keep_seconds = keep_seconds
        self._most_runs = most_runs
        self._blocks: dict[str, tuple[tuple[object, ...], _Block]] = {}
        library.listen(self._prepare)

    def render(self) -> bytes:
        """Everything that is current, as text."""
        runs = self._current()
        blocks = []
        for run in runs:
            self._blocks[run.name] = made = self._block(run)
            blocks.append(made[1])
        current = {run.name for run in runs}
        for name in list(self._blocks):  # a copy: the library's thread adds to it meanwhile
            if name not in current:
                self._blocks.pop(name, None)
        names = dict.fromkeys(name for block in blocks for name in block)
        parts: deque[bytes] = deque()
        for name in sorted(names):
            is_first = True
            for block in blocks:
                text = block.get(name)
                if text is not None:
                    parts.append(text if is_first else _without_header(text))
                    is_first = False
        return b"".join(parts)

    def _prepare(self, names: set[str]) -> None:
        """Make the blocks of runs that have just changed, so that no scrape has to; on the library's thread."""
        for name in names:
            run = self._library.get(name)
            if run is not None and run.info is not None and self._is_current(run):
                self._blocks[name] = self._block(run)

    def _current(self) -> list[FollowedRun]:
        runs = [run for run in self._library if run.info is not None and self._is_current(run)]
        return sorted(runs, key=lambda run: -run.last_seen)[: self._most_runs]

    def _is_current(self, run: FollowedRun) -> bool:
        return run.state == "running" or run.last_seen >= self._library.clock() - self._keep_seconds

    def _block(self, run: FollowedRun) -> tuple[tuple[object, ...], _Block]:
        key = (run.version, run.state, run.heartbeat)
        known = self._blocks.get(run.name)
        if known is not None and known[0] == key:
            return known
        try:
            if known is not None and known[0][:2] == key[:2]:
                return key, known[1] | _rendered(run, only=HEARTBEAT)  # all else is as it was
            return key, _rendered(run)
        except Exception:
            # One folder with nonsense in it must not blind the scrape to all the others.
            logger.exception("the metrics of run %s cannot be shown", run.name)
            return key, {}


def _rendered(run: FollowedRun, *, only: Metric | None = None) -> _Block:
    assert run.info is not None
    # The folder's name is the one thing that is unique here; two runs of one label would make the whole scrape invalid.
    info = replace(run.info, run=run.name)
    record = None if only is not None else run.last
    found = samples(info, record, state=run.state, heartbeat=run.heartbeat)
    unique = {(sample.metric.name, sample.labels): sample for sample in found if only in (None, sample.metric)}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(unique.values))
    return dict(_by_metric(generate_latest(registry)))


def _by_metric(text: bytes) -> Iterator[tuple[str, bytes]]:
    for part in text.split(b"# HELP ")[1:]:
        yield part.split(b" ", 1)[0].decode(), b"# HELP " + part


def _without_header(block: bytes) -> bytes:
    """The samples of a block: what follows its # HELP and # TYPE lines."""
    return block.split(b"\n", 2)[2]
