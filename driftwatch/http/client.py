"""send: one request and one reply within one time limit, with no part of either in a log.

Every caller relies on the following, whichever server it talks to:

- A redirect is a reply and is not followed: that would hand a token to another host, or turn a POST into a GET which
  seems to succeed.
- The time limit holds for everything together: resolving the name, trying each address, the TLS handshake, every byte.
- An answer is read up to a size and no further, and is never decompressed.
- No address, header or body is in an error or a log, since the address of a webhook is its password.
- Certificates are checked against the system's store. Proxies are those of the environment; loopback uses none.
- A connection serves one request, so a forked process inherits no connection that is in use.
"""

import contextlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from driftwatch.http.network import certificates, proxy_of
from driftwatch.http.reply import NoReply, Reply

MAX_BYTES = 1 << 20  # most bytes of an answer; those that we expect have a few thousand


def send(
    method: str,
    url: str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float,
    max_bytes: int = MAX_BYTES,
    verify: bool | str = True,
) -> Reply:
    """The reply to one request, whatever its status.

    Args:
        method: HTTP method, for example "POST".
        url: http://… or https://…; a name and a password in it are sent as basic authentication, unless `headers`
            has an authorization.
        content: Body of the request; `None` sends none.
        headers: Headers in addition to those that HTTP needs.
        timeout: Time limit for the whole exchange, seconds.
        max_bytes: Most bytes of the answer; 0 reads none of it, for callers who need only its status.
        verify: Whether certificates are checked, or the path of a CA file to check them against.

    Raises:
        NoReply: There was no reply in time, what came is not HTTP, or a successful answer is longer than `max_bytes`.
    """
    exchange = _Exchange(method, url, content, dict(headers or {}), timeout, max_bytes, verify)
    # Only a wait for a thread limits everything together. A name server that hangs, addresses that are tried in turn,
    # and a server that sends one byte per second all stay below the time limits of sockets.
    thread = threading.Thread(target=exchange.run, name="driftwatch-http", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is ending and starts no more threads, so the sockets' limits must suffice
        exchange.run()
    return exchange.wait()


def shown(url: str) -> str:
    """An address for messages, without the user name, password and query that it may hold.

    >>> shown("https://ada:secret@host:9091/path?token=x")
    'https://host:9091/path'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    rest = rest.partition("?")[0].partition("#")[0]
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"


@dataclass(slots=True)
class _Exchange:
    """A request under way on a thread of its own, and whoever waits for its reply."""

    method: str
    url: str
    content: bytes | None
    headers: dict[str, str]
    timeout: float
    max_bytes: int
    verify: bool | str
    _is_over: bool = False
    _stream: Any = None
    _outcome: "queue.SimpleQueue[Reply | NoReply]" = field(default_factory=queue.SimpleQueue)
    _until: float = 0.0

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.timeout

    def wait(self) -> Reply:
        try:
            found = self._outcome.get(timeout=max(0.0, self._until - time.monotonic()))
        except queue.Empty:
            self._give_up()
            raise NoReply(self._too_late) from None
        if isinstance(found, NoReply):
            raise found
        return found

    def run(self) -> None:
        with _unsaid():
            try:
                found: Reply | NoReply = self._reply()
            except httpx.TimeoutException:
                found = NoReply(self._too_late)
            except Exception as err:  # noqa: BLE001 - libraries raise many kinds, and their texts quote what was sent
                found = NoReply(_reason(err))
        self._outcome.put(found)

    @property
    def _too_late(self) -> str:
        return f"no whole reply within {self.timeout:.3g} s"

    def _reply(self) -> Reply:
        given = {name.lower() for name in self.headers}
        options: dict[str, Any] = {"auth": _as_it_is} if "authorization" in given else {}
        with (
            # Only the proxies are taken from the environment, by `proxy_of`: a .netrc holds passwords of other hosts.
            httpx.Client(
                verify=certificates(self.verify),
                proxy=proxy_of(self.url),
                trust_env=False,
                follow_redirects=False,
                timeout=max(0.001, self.timeout),
            ) as client,
            client.stream(
                self.method,
                self.url,
                content=self.content,
                headers={"Accept-Encoding": "identity", "User-Agent": "driftwatch", **self.headers},
                extensions={"trace": self._trace},
                **options,
            ) as response,
        ):
            return Reply(response.status_code, response.headers, self._body(response))

    def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        if not self.max_bytes:
            return b""
        try:
            for part in response.iter_raw():
                body += part
                if len(body) > self.max_bytes:
                    if response.is_success:
                        raise NoReply(f"the answer is longer than {self.max_bytes} bytes")
                    break
                if time.monotonic() > self._until:  # needed where the exchange has no thread of its own
                    raise NoReply(self._too_late)
        except httpx.HTTPError:
            if response.is_success:
                raise
        return bytes(body[: self.max_bytes])

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Note the socket, so that it can be shut down, and send nothing once nobody waits any more."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = info["return_value"]
        if self._is_over:
            if self._stream is not None:
                self._stream.close()
            raise NoReply(self._too_late)

    def _give_up(self) -> None:
        """Wake the thread, which otherwise would wait for its server's next byte, and the next."""
        self._is_over = True
        held = self._stream.get_extra_info("socket") if self._stream is not None else None
        if held is not None:
            with contextlib.suppress(OSError):  # it may be closed by now
                # The TLS socket's own method would take the connection away from the thread that reads it.
                socket.socket.shutdown(held, socket.SHUT_RDWR)


def _as_it_is(request: httpx.Request) -> httpx.Request:
    return request


def _reason(err: Exception) -> str:
    """Why there was no reply. No text of a library is quoted, except those of the operating system."""
    if isinstance(err, NoReply):
        return str(err)
    cause: BaseException | None = err
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    if isinstance(err, httpx.RemoteProtocolError):
        return "what came is not HTTP, or it broke off"
    if isinstance(err, httpx.LocalProtocolError | UnicodeError):
        return "a header has a character that HTTP does not allow, such as a line end"
    if isinstance(err, httpx.InvalidURL | httpx.UnsupportedProtocol | ValueError):
        return "the address is not one of HTTP"
    if isinstance(err, httpx.ProxyError):
        return "the proxy that the environment names refuses"
    if isinstance(err, ImportError):
        return "the environment names a SOCKS proxy, which needs another package: pip install 'httpx[socks]'"
    return type(err).__name__


_here = threading.local()


@contextlib.contextmanager
def _unsaid() -> Iterator[None]:
    """A context in which httpx, which else logs every request with its whole address, logs none of this thread."""
    _here.is_ours = True
    try:
        yield
    finally:
        _here.is_ours = False


class _NotOurs(logging.Filter):
    """Lets through log lines about requests that other code of this process sends."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_here, "is_ours", False)


logging.getLogger("httpx").addFilter(_NotOurs())
