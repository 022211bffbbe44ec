"""posted: one HTTP request that stays where it was sent. Pause: how long to wait after one that failed."""

import urllib.request
from collections.abc import Callable
from typing import Any

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds after a failure, doubling


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Following one would hand a token to another host, and would turn a POST into a GET that seems to succeed."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def posted(request: urllib.request.Request, *, timeout: float) -> Any:
    """The reply, a file to be closed; proxies of the environment are used.

    Args:
        request: What is sent.
        timeout: Seconds that connecting, and each wait for bytes, may take.

    Raises:
        urllib.error.HTTPError: The reply is no success; a redirect is none.
        OSError: No reply in time.
        http.client.HTTPException: What came is no reply.
    """
    return _OPENER.open(request, timeout=timeout)


class Pause:
    """When a server that did not answer may be asked again: each failure in a row doubles the wait.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._not_before = clock()

    @property
    def is_over(self) -> bool:
        """Whether it may be asked now."""
        return self._clock() >= self._not_before

    def failed(self) -> None:
        """It did not answer."""
        self._not_before = self._clock() + self._pause
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def answered(self) -> None:
        """It did: the next failure is a first one."""
        self._pause = FIRST_PAUSE

    def end(self) -> None:
        """It may be asked now, whatever it has failed."""
        self._not_before = self._clock()
