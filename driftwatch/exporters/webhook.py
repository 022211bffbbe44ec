"""WebhookExporter: one message per alert, to Slack or to anything that takes Slack's form of JSON.

The address of a webhook is its password: whoever knows it can write there. So it is taken from the environment, sent to
the webhook and shown nowhere, not even in errors.

The alerts to post are in the run's records, which are written first. A file beside them says how far the webhook has
come, so that a resumed run posts, once, what an earlier attempt could not post before it was killed. Only an alert
whose answer was cut off by a kill is posted twice; to lose it would be worse.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from driftwatch.documents.checking import checked
from driftwatch.errors import ConfigError, ExportError
from driftwatch.http.client import send
from driftwatch.http.patience import TRANSIENT, Pause
from driftwatch.http.reply import NoReply
from driftwatch.record.figures import topic_figures
from driftwatch.record.record import Alert, Record, RunInfo, to_json
from driftwatch.store.run_store import RunStore
from driftwatch.wording import JOINERS

logger = logging.getLogger(__name__)

URL = "DRIFTWATCH_WEBHOOK"  # name of the environment variable
FILE = "webhook.json"  # file in the run's folder that says how far the webhook has come
TIMEOUT_SECONDS = 5.0
MAX_ATTEMPTS = 12  # attempts at one message, about half an hour
MAX_WAITING = 100  # messages that wait at most; the alerts themselves are in the run's records
FINAL_SECONDS = 6.0  # time at the end of training for messages that still wait
MAX_TEXT = 3000  # characters


@dataclass(frozen=True, slots=True, order=True)
class Settled:
    """The last alert that is settled, which means posted, refused or given up; all alerts before it are settled too.

    Attributes:
        look: Number of the observation that raised it; -1 before the first alert.
        number: Position among the alerts of that observation, from 0.
    """

    look: int = -1
    number: int = 0


class _Message(NamedTuple):
    place: Settled
    body: bytes
    attempts: int = 0


class WebhookExporter:
    """Posts every new alert once: {"text": a sentence, "driftwatch": {its figures}}.

    The address may also be in DRIFTWATCH_WEBHOOK.

    Raises:
        ConfigError: There is no address, or it cannot be that of a webhook.
    """

    name = "webhook"

    @checked
    def __init__(
        self,
        url: str | None = None,
        *,
        timeout: Annotated[float, Meta(gt=0, description="Seconds for one attempt.")] = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = _checked(url or os.environ.get(URL) or "")
        self._timeout = timeout
        self._clock = clock
        self._info: RunInfo | None = None
        self._store: RunStore | None = None
        self._waiting: deque[_Message] = deque()
        self._pause = Pause(clock)

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy: the settings, without a run and without the messages that wait."""
        state = {**vars(self), "_info": None, "_store": None, "_waiting": deque()}
        return {**state, "_pause": Pause(self._clock)}

    def open(self, info: RunInfo, store: RunStore) -> None:
        """Note the run, and which of its alerts an earlier attempt has left."""
        self._info, self._store = info, store
        self._waiting.clear()
        self._pause = Pause(self._clock)
        recorded = [message for record in store.records(superseded=True) for message in self._messages(record)]
        settled = _settled(store)
        if settled is None:  # the run had no webhook so far, so its earlier alerts are no news
            settled = recorded[-1].place if recorded else Settled()
            self._settle(settled)
        self._waiting.extend([message for message in recorded if message.place > settled][-MAX_WAITING:])

    def export(self, record: Record) -> None:
        """Post the alerts that this observation raised, after those that wait.

        Raises:
            ExportError: The webhook could not be reached, or it refused an alert; an alert that it may yet take is
                tried again later.
        """
        for message in self._messages(record):
            if len(self._waiting) == MAX_WAITING:
                logger.warning("%d alerts wait for the hook; the oldest is dropped, it is in the records", MAX_WAITING)
                self._settle(self._waiting.popleft().place)
            self._waiting.append(message)
        self._post_waiting()

    def beat(self, timestamp: float) -> None:
        """Post the alerts that wait, if it is time to try again."""
        self._post_waiting()

    def close(self, state: str) -> None:
        """Try once more to post the alerts that wait, within seconds.

        Raises:
            ExportError: They could not be posted; they are in the run's records, and a resumed run tries again.
        """
        self._pause.end()
        self._post_waiting(until=self._clock() + FINAL_SECONDS)

    def _messages(self, record: Record) -> Iterator[_Message]:
        assert self._info is not None
        for number, alert in enumerate(record.alerts):
            yield _Message(Settled(record.look, number), to_json(payload(self._info, record, alert)))

    def _post_waiting(self, until: float | None = None) -> None:
        """Post one alert after the other; a refused alert does not hold up the next one."""
        problems = []
        while self._waiting and self._pause.is_over:
            left = self._timeout if until is None else min(self._timeout, until - self._clock())
            if left <= 0:
                problems.append(f"{len(self._waiting)} alerts were not posted before the end of the run.")
                break
            try:
                self._post(self._waiting[0].body, left)
            except _Unanswered as err:
                self._pause.failed(err.after)
                problems.append(self._put_off(err))
                break
            except ExportError as err:
                problems.append(str(err))
            self._pause.answered()
            self._settle(self._waiting.popleft().place)
        if problems:
            raise ExportError(" ".join(dict.fromkeys(problems)))

    def _put_off(self, err: "_Unanswered") -> str:
        """Keep an unposted alert for later, or give it up after so many attempts; returns what to say about it."""
        message = self._waiting.popleft()
        if message.attempts + 1 >= MAX_ATTEMPTS:
            self._settle(message.place)
            return f"an alert was not posted in {MAX_ATTEMPTS} attempts ({err})."
        self._waiting.appendleft(message._replace(attempts=message.attempts + 1))
        return f"the hook could not be reached ({err}); tried again later."

    def _settle(self, place: Settled) -> None:
        assert self._store is not None
        try:
            self._store.write_json(FILE, place)
        except OSError as err:
            logger.warning("which alerts were posted cannot be noted (%s): a resumed run may repeat some", err.strerror)

    def _post(self, body: bytes, timeout: float) -> None:
        kind = {"Content-Type": "application/json; charset=utf-8"}
        try:  # the answer is not read, since its status says enough
            reply = send("POST", self._url, content=body, headers=kind, timeout=timeout, max_bytes=0)
        except NoReply as err:
            raise _Unanswered(str(err)) from None
        if reply.status in TRANSIENT:
            raise _Unanswered(f"HTTP {reply.status}", reply.retry_after)
        if not reply.is_success:
            raise ExportError(f"the hook refused an alert (HTTP {reply.status}), which is not sent again. Check {URL}.")


class _Unanswered(Exception):
    """The webhook did not answer this time; `after` is the number of seconds for which it asks to be left alone."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def _settled(store: RunStore) -> Settled | None:
    """How far the webhook of an earlier attempt came; `None` where there was none."""
    path = store.folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settled)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        logger.warning("%s cannot be read: alerts of earlier attempts are not posted again", path)
        return None


def payload(info: RunInfo, record: Record, alert: Alert) -> dict[str, Any]:
    """The message that is posted about an alert.

    Args:
        info: Attributes of the run.
        record: The observation that raised the alert.
        alert: The alert.
    """
    row = next((row for row in record.evidence if (row.topic, row.kind) == (alert.topic, alert.kind)), None)
    poles = next((topic.poles for topic in info.topics if topic.id == alert.topic), None)
    figures = topic_figures(record.evidence, alert.topic, poles)
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
            "net_shift": figures.net_shift if figures is not None else None,
            "toward": figures.toward if figures is not None else None,
            "log10_evidence": row.log10_evidence if row is not None else None,
            "onset_step": row.onset_step if row is not None else None,
        },
    }


def _as_text(text: str) -> str:
    """Text that Slack shows literally: without mentions, links and characters that are not printable.

    >>> _as_text("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    plain = "".join(c if c.isprintable() or c in JOINERS else " " for c in text)
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
