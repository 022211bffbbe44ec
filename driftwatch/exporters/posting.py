"""posted: one HTTP request that stays where it was sent."""

import urllib.request
from typing import Any


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
