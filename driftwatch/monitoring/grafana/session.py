"""Session: the part of a `requests` session that `grafana-api` uses, over the client by which we send everything.

Its calls therefore have that client's limits too. No redirect is followed, since a POST to an address that only
redirects would become a GET, whose success would be taken for the POST's. A time limit holds for the whole call.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

from driftwatch.http.client import send
from driftwatch.http.reply import NoReply, Reply
from driftwatch.monitoring.grafana.error import GrafanaError

MAX_BYTES = 64 << 20  # bytes, the most that an answer may have; enough for a folder of large dashboards


class Session:
    """Sends the calls that `GrafanaAPI` makes on its session.

    Args:
        where: Grafana's address, for messages.
    """

    def __init__(self, where: str) -> None:
        self.headers: dict[str, str] = {}
        self._where = where

    def __getattr__(self, method: str) -> Callable[..., "Answer"]:
        return partial(self._send, method.upper())

    def _send(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        auth: Callable[[Any], Any],
        verify: bool | str = True,
        timeout: float,
    ) -> "Answer":
        """Send a call and return the answer, whatever its status.

        Raises:
            GrafanaError: There was no answer, or it was a redirect.
        """
        request = SimpleNamespace(headers={**self.headers, **(headers or {})})
        auth(request)
        content = None if json is None else _as_json(json)
        if content is not None:
            request.headers["Content-Type"] = "application/json"
        try:
            reply = send(
                method,
                url,
                content=content,
                headers=request.headers,
                timeout=timeout,
                max_bytes=MAX_BYTES,
                verify=verify,
            )
        except NoReply as err:
            raise GrafanaError(f"{self._where} cannot be reached ({err}). Is it up?") from None
        if 300 <= reply.status < 400:
            raise GrafanaError(
                f"{self._where} redirects {method} to {reply.headers.get('Location', 'another address')!r}, where "
                "nothing is sent. Give the address that Grafana itself has, with https:// and its sub-path.",
                reply.status,
            )
        return Answer(reply)


class Answer:
    """A reply with the attributes that `GrafanaAPI` reads."""

    def __init__(self, reply: Reply) -> None:
        self.status_code = reply.status
        self.json = reply.json
        self.text = reply.body.decode(errors="replace")


def _as_json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()
