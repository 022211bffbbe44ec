"""ChatServer: sends one request to an OpenAI-compatible server, with time limits, retries and a key kept secret."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftwatch.errors import JudgeError
from driftwatch.http.client import send, shown
from driftwatch.http.patience import TRANSIENT, TryAgain, retried
from driftwatch.http.reply import NoReply, Reply

_RETRIED = TRANSIENT | {409}  # some servers answer 409 while they load a model
# Status codes that concern one request and not the server: its content, its length or its form.
_OF_THIS_REQUEST = frozenset({400, 413, 414, 422, 431, 451})
_CODE = re.compile(r"[\w.:-]{1,60}")


class Unanswered(Exception):
    """One request got no usable answer; the message says why."""


class Refused(Unanswered):
    """The server takes requests and refused this one, for example because of its content."""


@dataclass(frozen=True, slots=True)
class ChatServer:
    """Where requests go, and how long and how often they are tried.

    Attributes:
        base_url: The address up to and including the version, for example "http://127.0.0.1:8000/v1".
        api_key_env: Name of the environment variable that holds the key, which is read at each request and not kept.
        timeout: Seconds for one attempt.
        max_attempts: Most attempts at one request.
    """

    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    timeout: float = 30.0
    max_attempts: int = 4

    @property
    def host(self) -> str:
        """The address for messages and identities, without a scheme or a password."""
        return shown(self.base_url).split("://", 1)[1].rstrip("/")

    def complete(self, body: Mapping[str, Any], *, until: float) -> dict[str, Any]:
        """The server's answer to one chat completion.

        Args:
            body: The request.
            until: The value of `time.monotonic()` after which no attempt begins.

        Raises:
            Unanswered: There was no answer in time, or nothing usable after the last attempt.
            Refused: The server refused this request; the caller may try whether it takes others.
            JudgeError: The server will not answer any request like this: key, address or model are wrong.
        """
        try:
            return retried(
                lambda left: self._once(body, min(self.timeout, left)), attempts=self.max_attempts, until=until
            )
        except TryAgain as err:
            raise Unanswered(str(err)) from None

    def _once(self, body: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        try:
            reply = send(
                "POST",
                f"{self.base_url.rstrip('/')}/chat/completions",
                content=json.dumps(body).encode(),
                headers={"Content-Type": "application/json", **self._authorization()},
                timeout=timeout,
            )
        except NoReply as err:
            raise TryAgain(str(err)) from None
        if not reply.is_success:
            raise self._refused(reply)
        try:
            found = reply.json()
        except ValueError:
            raise TryAgain("the answer is not JSON") from None
        if not isinstance(found, dict):
            raise TryAgain("the answer is not a JSON object")
        return found

    def _authorization(self) -> dict[str, str]:
        key = os.environ.get(self.api_key_env, "")
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _refused(self, reply: Reply) -> Exception:
        if reply.status in _RETRIED:
            return TryAgain(f"HTTP {reply.status}", reply.retry_after)
        if reply.status in _OF_THIS_REQUEST:
            return Refused(f"HTTP {reply.status}{_code(reply)}")
        hint = {
            401: f"Put a valid key into the environment variable {self.api_key_env}.",
            403: f"The key in {self.api_key_env} may not use this model.",
            404: "Check the address, which ends in the version (…/v1), and the model's name.",
        }.get(reply.status, "Check the address and the model's name.")
        return JudgeError(f"{self.host} answered HTTP {reply.status}. {hint}")


def _code(reply: Reply) -> str:
    """The short code of an error, such as content_filter, but never its message, which may repeat what was sent."""
    try:
        told = reply.json()["error"]
        found = told.get("code") or told.get("type") if isinstance(told, dict) else told
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({found})" if isinstance(found, str) and _CODE.fullmatch(found) else ""
