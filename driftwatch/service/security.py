"""Guard: decides who may ask, and what a browser may do with the answer.

It refuses requests that name another host (against DNS rebinding) and, where a token is set, requests that do not carry
it. The token travels in the Authorization header, as a bearer token or as the password of HTTP Basic, for which
browsers ask their user. There are no cookies, so no other site can act in the user's name.
"""

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS = ("/healthz", "/readyz")  # these say nothing about any run
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(address: str) -> bool:
    """Whether an address can be reached from this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("trainer-3")
    (True, False, False)
    """
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def carries(authorization: str | None, token: str) -> bool:
    """Whether an Authorization header holds the token, compared in constant time."""
    if not authorization:
        return False
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(value.strip().encode(), token.encode())


class Guard:
    """ASGI middleware that refuses requests as the module's text says.

    Args:
        app: The application behind it.
        token: Token required for everything but `OPEN_PATHS` and `free`; `None` where reading needs none.
        hosts: Names under which the service may be addressed; `None` for any.
        free: Further paths that need no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None = None,
        hosts: Collection[str] | None = LOOPBACK_NAMES,
        free: Collection[str] = (),
    ) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts
        self._free = {*OPEN_PATHS, *free}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on and add our headers to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = _host_name(headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            return PlainTextResponse(
                f"This service answers to {', '.join(sorted(self._hosts))}; the request was for another host. "
                "Start it with --allow-host NAME to add one.\n",
                status_code=421,
            )
        if self._token is None or scope["path"] in self._free or carries(headers.get("authorization"), self._token):
            return None
        return PlainTextResponse(
            "A token is required: send Authorization: Bearer TOKEN, or give it as the password.\n",
            status_code=401,
            headers={"WWW-Authenticate": 'Basic realm="driftwatch", charset="UTF-8"'},
        )


def _host_name(host: str) -> str:
    """The name in a Host header, without its port.

    >>> _host_name("localhost:9464"), _host_name("[::1]:9464")
    ('localhost', '::1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
