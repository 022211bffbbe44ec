"""One request to an OpenAI-compatible chat server: time limits, retries with back-off, and a key that stays at home."""

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from driftwatch.errors import JudgeError

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_MAX_PAUSE = 30.0  # seconds, whatever a server asks for
_MAX_ANSWER = 1 << 20  # bytes; one word with its log-probabilities needs a few thousand


# What a server says of one request and not of itself: its content, its length, its form.
_OF_THIS_REQUEST = frozenset({400, 413, 414, 422, 431, 451})
_CODE = re.compile(r"[\w.:-]{1,60}")


class Unanswered(Exception):
    """No usable answer to one request, and the reason."""


class Refused(Unanswered):
    """The server takes requests, and would not take this one, for example for its content."""


@dataclass(frozen=True, slots=True)
class ChatServer:
    """Where requests go, and how patiently.

    Attributes:
        base_url: Up to and including the version, for example "http://127.0.0.1:8000/v1".
        api_key_env: Name of the environment variable that holds the key; read at each request and kept nowhere.
        timeout: Seconds for one attempt.
        max_attempts: Attempts at one request.
        sleep: Waits between attempts; tests pass their own.
    """

    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    timeout: float = 30.0
    max_attempts: int = 4
    sleep: Callable[[float], None] = time.sleep

    @property
    def host(self) -> str:
        """The address for messages and identities, without a scheme or a password."""
        return self.base_url.split("://", 1)[1].split("@")[-1].rstrip("/")

    def complete(self, body: Mapping[str, Any], *, until: float) -> dict[str, Any]:
        """The server's answer to one chat completion.

        Args:
            body: The request.
            until: `time.monotonic()` after which no attempt begins.

        Raises:
            Unanswered: Not in time, or nothing usable after the last attempt.
            Refused: The server would not take this request; whether it takes others is for the caller to try.
            JudgeError: The server will not answer any request like this: key, address or model are wrong.
        """
        reason = "no time was left"
        for attempt in range(self.max_attempts):
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return self._once(body, min(self.timeout, left))
            except _Retry as err:
                reason = str(err)
                pause = min(err.wait if err.wait is not None else 0.5 * 2**attempt, _MAX_PAUSE)
                if attempt + 1 < self.max_attempts:
                    self.sleep(min(pause, max(0.0, until - time.monotonic())))
        raise Unanswered(reason)

    def _once(self, body: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.base_url.rstrip('/')}/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self._authorization()},
        )
        try:
            with _OPENER.open(request, timeout=timeout) as response:
                found = json.loads(response.read(_MAX_ANSWER + 1))
        except urllib.error.HTTPError as err:
            with err:
                raise self._refused(err) from None  # its headers and ours stay out of tracebacks
        except (urllib.error.URLError, TimeoutError, OSError, http.client.HTTPException) as err:
            raise _Retry(f"{type(err).__name__}: {getattr(err, 'reason', err)}") from err
        except ValueError as err:
            raise _Retry("the answer is not JSON") from err
        if not isinstance(found, dict):
            raise _Retry("the answer is not a JSON object")
        return found

    def _authorization(self) -> dict[str, str]:
        key = os.environ.get(self.api_key_env, "")
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _refused(self, err: urllib.error.HTTPError) -> Exception:
        if err.code in _RETRIED:
            wait = err.headers.get("Retry-After", "")
            return _Retry(f"HTTP {err.code}", wait=float(wait) if wait.isdigit() else None)
        if err.code in _OF_THIS_REQUEST:
            return Refused(f"HTTP {err.code}{_code(err)}")
        hint = {
            401: f"Put a valid key into the environment variable {self.api_key_env}.",
            403: f"The key in {self.api_key_env} may not use this model.",
            404: "Check the address, which ends in the version (…/v1), and the model's name.",
        }.get(err.code, "Check the address and the model's name.")
        return JudgeError(f"{self.host} answered HTTP {err.code}. {hint}")


def _code(err: urllib.error.HTTPError) -> str:
    """The short code of an error, such as content_filter; never its message, which may repeat what was sent."""
    try:
        told = json.loads(err.read(_MAX_ANSWER))["error"]
        found = told.get("code") or told.get("type") if isinstance(told, dict) else told
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return ""
    return f" ({found})" if isinstance(found, str) and _CODE.fullmatch(found) else ""


class _Retry(Exception):
    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Following one would hand the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)
