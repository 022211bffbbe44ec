"""WebhookExporter: one message an alert, to Slack or to anything that takes Slack's form of JSON.

The address of a hook is its password: whoever knows it can write there. So it is taken from the environment, sent to
the hook and shown nowhere, not in errors either.
"""

import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from driftwatch.errors import ConfigError, ExportError
from driftwatch.exporters.posting import Pause, posted
from driftwatch.record import Alert, Record, RunInfo, to_json
from driftwatch.store import RunStore

logger = logging.getLogger(__name__)

URL = "DRIFTWATCH_WEBHOOK"  # name of the variable
TIMEOUT_SECONDS = 5.0
MAX_ATTEMPTS = 12  # at one message: half an hour
MAX_WAITING = 100  # messages; the alerts themselves are in the run's records
FINAL_SECONDS = 6.0  # for what waits at the end of training
MAX_TEXT = 3000  # characters
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_JOINERS = "\u200c\u200d"  # not printable by Python's notion, and needed by Persian, Hindi and others


class _Message(NamedTuple):
    body: bytes
    attempts: int = 0


class WebhookExporter:
    """Posts every new alert once: {"text": a sentence, "driftwatch": {its figures}}.

    Args:
        url: Of the hook; `None` takes DRIFTWATCH_WEBHOOK.
        timeout: Seconds for one attempt.
        clock: Seconds, monotonic; a parameter for tests.

    Raises:
        ConfigError: No address, or not one of a hook.
    """

    name = "webhook"

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = _checked(url or os.environ.get(URL) or "")
        self._timeout = timeout
        self._clock = clock
        self._info: RunInfo | None = None
        self._waiting: deque[_Message] = deque()
        self._pause = Pause(clock)

    def open(self, info: RunInfo, store: RunStore) -> None:
        """Note the run."""
        self._info = info
        self._waiting.clear()
        self._pause = Pause(self._clock)

    def export(self, record: Record) -> None:
        """Post the alerts that this look raised, after those that wait.

        Raises:
            ExportError: The hook could not be reached or refused; what it may yet take is tried again later.
        """
        assert self._info is not None
        for alert in record.alerts:
            if len(self._waiting) == MAX_WAITING:
                logger.warning("%d alerts wait for the hook; the oldest is dropped, it is in the records", MAX_WAITING)
                self._waiting.popleft()
            self._waiting.append(_Message(to_json(payload(self._info, record, alert))))
        self._post_waiting()

    def beat(self, timestamp: float) -> None:
        """Post what waits, if it is time to try again."""
        self._post_waiting()

    def close(self, state: str) -> None:
        """Try once more to post what waits, within seconds.

        Raises:
            ExportError: It could not be; the alerts are in the run's records.
        """
        self._pause.end()
        self._post_waiting(until=self._clock() + FINAL_SECONDS)

    def _post_waiting(self, until: float | None = None) -> None:
        while self._waiting and self._pause.is_over:
            left = self._timeout if until is None else min(self._timeout, until - self._clock())
            if left <= 0:
                raise ExportError(f"{len(self._waiting)} alerts were not posted before the end of the run.")
            message = self._waiting.popleft()
            try:
                self._post(message.body, left)
            except _Unanswered as err:
                self._pause.failed()
                if message.attempts + 1 >= MAX_ATTEMPTS:
                    raise ExportError(f"an alert was not posted in {MAX_ATTEMPTS} attempts ({err}).") from None
                self._waiting.appendleft(message._replace(attempts=message.attempts + 1))
                raise ExportError(f"the hook could not be reached ({err}); tried again later.") from None
            self._pause.answered()

    def _post(self, body: bytes, timeout: float) -> None:
        request = urllib.request.Request(
            self._url, data=body, method="POST", headers={"Content-Type": "application/json; charset=utf-8"}
        )
        # Errors are raised without their causes, which may name the address.
        try:
            posted(request, timeout=timeout).close()
        except urllib.error.HTTPError as err:
            with err:
                if err.code in _RETRIED:
                    raise _Unanswered(f"HTTP {err.code}") from None
                raise ExportError(
                    f"the hook refused an alert (HTTP {err.code}), which is not sent again. Check {URL}."
                ) from None
        except (OSError, http.client.HTTPException) as err:
            reason = getattr(err, "reason", None)
            cause = reason if isinstance(reason, OSError) else err
            raise _Unanswered(getattr(cause, "strerror", None) or type(cause).__name__) from None


class _Unanswered(Exception):
    """No answer this time, and why."""


def payload(info: RunInfo, record: Record, alert: Alert) -> dict[str, Any]:
    """What is posted about an alert.

    Args:
        info: The run.
        record: The look that raised it.
        alert: The alert.
    """
    row = next((row for row in record.evidence if (row.topic, row.kind) == (alert.topic, alert.kind)), None)
    heading = f"driftwatch, {alert.severity}: run {info.run}, step {record.step}"
    return {
        "text": _as_text(f"{heading}: {alert.text}"),
        "driftwatch": {
            "run": info.run,
            "model": info.model,
            "attempt": record.attempt,
            "look": record.look,
            "step": record.step,
            "timestamp": record.timestamp,
            "topic": alert.topic,
            "kind": alert.kind,
            "state": alert.state,
            "label": alert.label,
            "severity": alert.severity,
            "baseline": info.alerting_baseline,
            "estimate": row.estimate if row is not None else None,
            "log10_e_value": row.log10_e_value if row is not None else None,
            "onset_step": row.onset_step if row is not None else None,
        },
    }


def _as_text(text: str) -> str:
    """Text that Slack shows as it is: no mention, no link, nothing that is not printed.

    >>> _as_text("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    plain = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)
    if len(plain) > MAX_TEXT:
        plain = f"{plain[:MAX_TEXT]} …"
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and url.isprintable()
        is_address = is_address and " " not in url and parts.port != 0
    except ValueError:  # a port that is no number, a bracket too many
        is_address = False
    if not is_address:
        found = "another thing, which is not shown, as an address is a password here" if url else "nothing"
        raise ConfigError(f"a webhook's address is https://… or http://…; found {found}. Set {URL}.")
    return url
