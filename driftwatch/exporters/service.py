"""ServiceExporter: pushes a run to a `driftwatch serve` elsewhere, for trainers without a shared disk.

The run's own folder is the buffer. It is written first and durably, and this exporter sends every line that the service
has not yet confirmed. So nothing is lost if the service is away for an hour, or if the trainer is killed and resumed;
lines that arrive twice change nothing there.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from driftwatch.documents.checking import checked
from driftwatch.errors import ConfigError, ExportError
from driftwatch.http.client import send, shown
from driftwatch.http.patience import Pause
from driftwatch.http.reply import NoReply, Reply
from driftwatch.record.record import Record, RunInfo, to_json
from driftwatch.store.run_store import RunStore
from driftwatch.store.tail import Tail

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
BATCH_BYTES = 1 << 20  # bytes of lines in one push; the service takes several times as many
MAX_LINE = 4 << 20  # bytes; a longer line is not sent
FINAL_SECONDS = 12.0  # time at the end of training for lines that still wait
URL, TOKEN = "DRIFTWATCH_SERVICE", "DRIFTWATCH_TOKEN"  # names of environment variables
_STATUSES = frozenset(HTTPStatus)
PARTS = {"events": "events.jsonl", "stances": "stances.jsonl", "records": "records.jsonl"}
FILES = {"baselines": "baseline-*.json", "packs": "pack.json"}  # sent whole, together with the first lines


class _Refused(ExportError):
    """The service refused a push; `after` is the number of seconds that it asks to wait, if it does."""

    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after


class _Line(NamedTuple):
    part: str
    path: Path
    end: int
    text: bytes


class ServiceExporter:
    """Sends every observation to a service. The token may also be in DRIFTWATCH_TOKEN.

    Raises:
        ConfigError: There is no address or no token.
    """

    name = "service"

    @checked
    def __init__(
        self,
        url: Annotated[str | None, Meta(description="Of the service; `None` takes DRIFTWATCH_SERVICE.")] = None,
        *,
        token: str | None = None,
        timeout: Annotated[float, Meta(gt=0, description="Seconds for one push.")] = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = (url or os.environ.get(URL) or "").rstrip("/")
        self._token = token or os.environ.get(TOKEN) or ""
        if not self._url.startswith(("http://", "https://")):
            raise ConfigError(f"the service's address is http://… or https://…; found {shown(self._url)!r}. Set {URL}.")
        if not self._token:
            raise ConfigError(f"the service at {shown(self._url)} takes pushes with a token only: set {TOKEN}.")
        self._timeout = timeout
        self._clock = clock
        self._info: RunInfo | None = None
        self._store: RunStore | None = None
        self._sent: dict[str, int] = {}
        self._pause = Pause(clock)
        self._files_sent = False
        self._told: set[Path] = set()  # files with a damaged line
        self._kept = 0

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy: the settings, without a run."""
        return {**vars(self), "_info": None, "_store": None, "_sent": {}, "_pause": Pause(self._clock), "_kept": 0}

    def open(self, info: RunInfo, store: RunStore) -> None:
        """Note the run, and how far an earlier attempt came."""
        self._info, self._store = info, store
        self._sent = self._read_progress()
        self._kept = self._sent.pop("kept", 0)
        self._pause, self._files_sent = Pause(self._clock), False

    def export(self, record: Record) -> None:
        """Send the new lines of the folder; the record is in the folder by now.

        Raises:
            ExportError: The service could not be reached or refused; the push is tried again later.
        """
        self._ship()

    def beat(self, timestamp: float) -> None:
        """Send the lines that wait, or else a sign of life."""
        self._ship(sign_of_life=True)

    def close(self, state: str) -> None:
        """Send the lines that wait, and how the run ended, within seconds."""
        if self._store is None:
            return
        deadline = self._clock() + FINAL_SECONDS
        self._pause.end()
        self._ship(until=deadline)
        attempt = step = 0
        for line in self._store.lines("records.jsonl"):
            attempt, step = _place(line, attempt, step)
        end = {"kind": "end", "attempt": attempt, "step": step, "timestamp": time.time(), "text": state}
        self._push({"events": [to_json(end)]})

    # What is sent

    def _ship(self, *, sign_of_life: bool = False, until: float | None = None) -> None:
        if self._store is None or not self._pause.is_over:
            return
        try:
            sent = self._send_new(until)
            if sign_of_life and not sent:
                self._push({})
        except _Refused as err:
            self._pause.failed(err.after)
            raise
        except ExportError:
            self._pause.failed()
            raise
        self._pause.answered()

    def _send_new(self, until: float | None) -> bool:
        assert self._store is not None
        parts: dict[str, list[bytes]] = {}
        if not self._files_sent:
            for part, pattern in FILES.items():
                parts[part] = [path.read_bytes() for path in self._store.folder.glob(pattern)]
        batch: list[_Line] = []
        sent, size = False, 0
        for line in self._new_lines():
            if batch and size + len(line.text) > BATCH_BYTES:
                self._send(batch, parts)
                batch, parts, size, sent = [], {}, 0, True
                if until is not None and self._clock() > until:
                    return sent
            batch.append(line)
            size += len(line.text)
        if batch or any(parts.values()):
            self._send(batch, parts)
            sent = True
        return sent

    def _send(self, batch: list[_Line], parts: dict[str, list[bytes]]) -> None:
        for line in batch:
            parts.setdefault(line.part, []).append(line.text)
        answer = self._push(parts)
        for refused in answer.get("refused", ()):
            logger.warning("the service did not keep a line of %s: %s", refused.get("part"), refused.get("reason"))
        self._files_sent = True
        for line in batch:
            self._sent[self._key(line.path)] = line.end
        kept = int(answer.get("records", 0))
        if kept < self._kept:
            logger.warning("the service has lost observations of this run; all are sent again")
            self._sent, self._files_sent = {}, False
        self._kept = kept
        self._write_progress()

    def _new_lines(self) -> Iterator[_Line]:
        assert self._store is not None
        replies = sorted((self._store.folder / "replies").glob("*.jsonl"))
        files = [(part, self._store.folder / name) for part, name in PARTS.items()]
        # Records come last, so that an observation that readers of the service can see has all that it refers to.
        for part, path in [*files[:-1], *(("replies", path) for path in replies), files[-1]]:
            tail = Tail(path, offset=self._sent.get(self._key(path), 0), max_line=MAX_LINE)
            for line, text in tail.values(_as_json):
                yield _Line(part, path, line.end, text)
            if tail.damaged and path not in self._told:
                self._told.add(path)
                logger.warning("%s: a line cannot be sent and is passed over (%s)", path, tail.problem)

    def _key(self, path: Path) -> str:
        assert self._store is not None
        return path.relative_to(self._store.folder).as_posix()

    # How it is sent

    def _push(self, parts: dict[str, list[bytes]]) -> dict[str, Any]:
        assert self._info is not None
        body = b'{"info":' + to_json(self._info)
        for part, lines in parts.items():
            body += b',"' + part.encode() + b'":[' + b",".join(lines) + b"]"
        who = f"the service at {shown(self._url)}"
        try:
            reply = send(
                "POST",
                f"{self._url}/api/v1/runs/{self._info.run}/records",
                content=body + b"}",
                headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
                timeout=self._timeout,
            )
        except NoReply as err:
            raise ExportError(f"{who} could not be reached ({err}); tried again later.") from None
        if not reply.is_success:
            raise _Refused(f"{who} refused a push ({reply.status}): {_reason(reply)}", reply.retry_after)
        try:
            answer = reply.json()
        except ValueError:
            raise ExportError(f"{who} answered a push with something that is not JSON; tried again later.") from None
        return answer if isinstance(answer, dict) else {}

    # How far it came

    @property
    def _progress_file(self) -> Path:
        assert self._store is not None
        return self._store.folder / "service-progress.json"

    def _read_progress(self) -> dict[str, int]:
        try:
            known = json.loads(self._progress_file.read_bytes())
        except (OSError, ValueError):
            return {}
        mine = known.get(shown(self._url)) if isinstance(known, dict) else None
        return {key: int(value) for key, value in mine.items()} if isinstance(mine, dict) else {}

    def _write_progress(self) -> None:
        assert self._store is not None
        self._store.write_json(self._progress_file.name, {shown(self._url): {**self._sent, "kept": self._kept}})


def _as_json(line: bytes) -> bytes:
    msgspec.json.decode(line)  # with a line that is not JSON, the service would refuse the whole push
    return line


def _place(line: bytes, attempt: int, step: int) -> tuple[int, int]:
    try:
        found = json.loads(line)
        return int(found["attempt"]), int(found["step"])
    except (ValueError, KeyError, TypeError):
        return attempt, step


def _reason(reply: Reply) -> str:
    try:
        return str(reply.json()["error"])[:300]
    except (ValueError, KeyError, TypeError):
        return HTTPStatus(reply.status).phrase if reply.status in _STATUSES else "without a reason"
