"""What the machine and its environment say about the network: whom to trust, and which proxy to use."""

import functools
import ssl
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from driftwatch.http.reply import NoReply


@functools.cache
def certificates(verify: bool | str) -> ssl.SSLContext:
    """The TLS context against which certificates are checked; made once, since reading the system's store is slow."""
    if isinstance(verify, str):
        return ssl.create_default_context(cafile=verify)
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address, by the rules of Python's own library; `None` for none.

    Raises:
        NoReply: The environment names a proxy of a kind that cannot be used.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    found = getproxies().get(parts.scheme)
    if not found or _is_loopback(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = found if "://" in found else f"http://{found}"
    kind = proxy.partition("://")[0].lower()
    if kind not in ("http", "https", "socks5", "socks5h"):
        raise NoReply(f"the environment names a proxy of a kind that cannot be used ({kind[:20]}://…)")
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
