"""The one client: a real socket at the other end, which answers, hangs, drips, lies and redirects."""

import contextlib
import logging
import os
import socket
import ssl
import threading
import time

import pytest
from support.servers import free_port

from driftwatch.http.client import send, shown
from driftwatch.http.reply import NoReply, Reply

SECRET = "hunter2hunter2"
WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Peer:
    """Takes connections one after the other; what it read is kept, and `answer` writes to each.

    Args:
        answer: Gets the connection once a request has come.
    """

    def __init__(self, answer):
        self.seen = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            with link, contextlib.suppress(OSError):
                self.seen.append(self._request(link))
                self._answer(link)
                link.settimeout(20)
                while link.recv(65536):
                    pass

    @staticmethod
    def _request(link):
        read = b""
        while b"\r\n\r\n" not in read:
            read += link.recv(65536) or b"\r\n\r\n"
        head, _, body = read.partition(b"\r\n\r\n")
        wanted = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < wanted:
            body += link.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=30)


@pytest.fixture
def peer():
    opened = []

    def start(answer):
        made = Peer(answer if callable(answer) else lambda link: link.sendall(answer))
        opened.append(made)
        return made

    yield start
    for made in opened:
        made.close()


def dripping(first, drop=b"x"):
    """Writes `first`, and then a byte now and then, for as long as somebody takes them."""

    def answer(link):
        link.sendall(first)
        for _ in range(2000):
            link.sendall(drop)
            time.sleep(0.01)  # the time limit of the client ends this, whatever it is

    return answer


def none_is_left():
    for thread in threading.enumerate():
        if thread.name == "driftwatch-http":
            thread.join(timeout=20)
            assert not thread.is_alive(), "a request ends with its time, also where its server goes on"


def test_a_request_and_its_reply_arrive_as_they_are(peer):
    there = peer(b"HTTP/1.1 201 Created\r\nX-One: 1\r\nContent-Length: 7\r\n\r\n[1, 2]\n")
    found = send("PUT", f"{there.url}/a%2Fb?c=d", content=b"body", headers={"X-Two": "2"}, timeout=20)
    assert (found.status, found.is_success, found.headers["x-one"], found.json()) == (201, True, "1", [1, 2])
    (request,) = there.seen
    assert request.startswith(b"PUT /a%2Fb?c=d HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\nbody")
    assert b"\r\nX-Two: 2\r\n" in request
    assert b"\r\nAccept-Encoding: identity\r\n" in request


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_is_told_and_not_followed(peer, status, method):
    other = peer(WELL)
    there = peer(f"HTTP/1.1 {status} Moved\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n".encode())
    found = send(method, there.url, headers={"Authorization": f"Bearer {SECRET}"}, timeout=20)
    assert (found.status, found.is_success, other.seen) == (status, False, [])


@pytest.mark.parametrize(
    "answer",
    [
        lambda link: None,
        dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["says nothing", "drips headers", "drips its body", "drips chunks"],
)
def test_the_time_limit_holds_for_everything_together_and_frees_the_connection(peer, answer):
    there = peer(answer)
    with pytest.raises(NoReply, match=r"^no whole reply within 0\.3 s$"):
        send("POST", there.url, content=b"x", timeout=0.3)
    none_is_left()


def test_a_name_that_is_not_resolved_in_time_holds_up_nobody(monkeypatch, peer):
    there, hold, real = peer(WELL), threading.Event(), socket.getaddrinfo

    def hanging(*args, **options):
        hold.wait(20)
        return real("127.0.0.1", there.port, *args[2:], **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    with pytest.raises(NoReply, match="no whole reply within"):
        send("POST", "http://slow.invalid/", content=b"x", timeout=0.2)
    hold.set()
    none_is_left()
    assert b"POST" not in b"".join(there.seen), "nothing is sent once nobody waits for the answer"


def test_an_answer_is_read_up_to_its_limit(peer):
    there = peer(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000)
    with pytest.raises(NoReply, match="longer than 1000 bytes"):
        send("GET", there.url, timeout=20, max_bytes=1000)
    there = peer(b"HTTP/1.1 502 Bad Gateway\r\n\r\n" + b"x" * 5000)
    found = send("GET", there.url, timeout=20, max_bytes=1000)
    assert (found.status, len(found.body)) == (502, 1000)


def test_a_body_that_nobody_wants_is_not_waited_for(peer):
    there = peer(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"))
    found = send("POST", there.url, timeout=20, max_bytes=0)
    assert (found.status, found.body) == (200, b"")


def test_a_compressed_answer_is_not_inflated(peer):
    import gzip

    packed = gzip.compress(b"0" * (64 << 20))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    assert send("GET", peer(head + packed).url, timeout=20).body == packed


@pytest.mark.parametrize("answer", [b"", b"\x00\xff nonsense\r\n\r\n", WELL[:-1]])
def test_what_is_no_reply_is_said_to_be_none(peer, answer):
    def speak(link):
        link.sendall(answer)
        link.shutdown(socket.SHUT_RDWR)

    with pytest.raises(NoReply, match="not HTTP, or it broke off"):
        send("GET", peer(speak).url, timeout=20)


def test_an_error_counts_also_where_its_text_breaks_off(peer):
    def speak(link):
        link.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\nno")
        link.shutdown(socket.SHUT_RDWR)

    assert send("GET", peer(speak).url, timeout=20).body == b"no"


def test_nobody_there_is_said_in_the_system_s_words():
    with pytest.raises(NoReply, match=r"^Connection refused$"):
        send("GET", f"http://127.0.0.1:{free_port()}/{SECRET}", timeout=20)


@pytest.mark.parametrize("verbosity", [logging.DEBUG, logging.INFO])
@pytest.mark.parametrize("is_there", [True, False])
def test_neither_address_nor_token_is_in_a_log_or_an_error(peer, caplog, verbosity, is_there):
    caplog.set_level(verbosity)
    place = peer(WELL).url if is_there else f"http://127.0.0.1:{free_port()}"
    said = ""
    try:
        send("POST", f"{place}/{SECRET}", content=SECRET.encode(), headers={"Authorization": SECRET}, timeout=20)
    except NoReply as err:
        import traceback

        said = "".join(traceback.format_exception(err))
        assert not is_there
    assert SECRET not in caplog.text + said


def test_what_others_send_by_the_same_library_is_still_logged(peer, caplog):
    import httpx

    caplog.set_level(logging.INFO)
    there = peer(WELL)
    send("GET", there.url, timeout=20)
    with httpx.Client(trust_env=False) as client:
        client.get(there.url)
    assert [record.name for record in caplog.records] == ["httpx"]


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET}\r\nX-Other: 1", f"{SECRET}ä", f"{SECRET}\0"])
def test_a_token_that_no_header_can_hold_is_refused_without_being_quoted(peer, token):
    there = peer(WELL)
    with pytest.raises(NoReply, match="a header has a character") as caught:
        send("GET", there.url, headers={"Authorization": f"Bearer {token}"}, timeout=20)
    assert SECRET not in repr(caught.value) + repr(caught.value.__cause__)
    assert b"X-Other" not in b"".join(there.seen)


@pytest.mark.parametrize("url", ["", "host", "ftp://host/", "http://", "http://[::1", "http://\n"])
def test_an_address_that_is_none_is_no_reply(url):
    with pytest.raises(NoReply, match=r"^the address is not one of HTTP$"):
        send("GET", url, timeout=20)


def test_a_password_in_the_address_is_basic_authentication_unless_a_token_is_given(peer):
    there = peer(WELL)
    send("GET", f"http://ada:{SECRET}@127.0.0.1:{there.port}/", timeout=20)
    send("GET", f"http://ada:{SECRET}@127.0.0.1:{there.port}/", headers={"authorization": "Bearer t"}, timeout=20)
    sent = [next(line for line in seen.split(b"\r\n") if line.lower().startswith(b"auth")) for seen in there.seen]
    assert sent[0].startswith(b"Authorization: Basic ")
    assert sent[1] == b"authorization: Bearer t"
    assert SECRET.encode() not in b"".join(there.seen)


def test_a_password_file_of_the_user_is_left_alone(peer, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login ada password {SECRET}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    there = peer(WELL)
    send("GET", there.url, timeout=20)
    assert b"authorization" not in there.seen[0].lower()


@pytest.fixture
def no_proxies(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_proxy_of_the_environment_is_used(peer, monkeypatch, no_proxies, scheme):
    there = peer(WELL)
    monkeypatch.setenv("http_proxy", f"{scheme}127.0.0.1:{there.port}")
    assert send("GET", "http://driftwatch.invalid/x", timeout=20).status == 200
    assert there.seen[0].startswith(b"GET http://driftwatch.invalid/x HTTP/1.1\r\n")


@pytest.mark.parametrize("no_proxy", ["*", ".test", "127.0.0.1, a.test:1", "a.test"])
def test_what_the_environment_exempts_goes_past_the_proxy(peer, monkeypatch, no_proxies, no_proxy):
    there, real = peer(WELL), socket.getaddrinfo
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", no_proxy)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more))
    host = "127.0.0.1" if no_proxy.startswith("127") else "a.test"
    assert send("GET", f"http://{host}:{there.port}/", timeout=20).status == 200
    assert there.seen[0].startswith(b"GET / HTTP/1.1\r\n")


def test_loopback_needs_no_proxy_and_one_for_another_scheme_disturbs_nobody(peer, monkeypatch, no_proxies):
    there = peer(WELL)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    assert send("GET", there.url, timeout=20).status == 200


def test_a_proxy_that_cannot_be_used_is_said_without_its_password(monkeypatch, no_proxies):
    monkeypatch.setenv("http_proxy", f"socks9://ada:{SECRET}@127.0.0.1:1")
    with pytest.raises(NoReply, match=r"a proxy of a kind that cannot be used \(socks9") as caught:
        send("GET", "http://driftwatch.invalid/", timeout=20)
    assert SECRET not in str(caught.value)


def test_a_proxy_that_refuses_is_said(peer, monkeypatch, no_proxies):
    there = peer(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv("https_proxy", f"http://ada:{SECRET}@127.0.0.1:{there.port}")
    with pytest.raises(NoReply, match=r"^the proxy that the environment names refuses$"):
        send("GET", f"https://driftwatch.invalid/{SECRET}", timeout=20)
    assert there.seen[0].startswith(b"CONNECT driftwatch.invalid:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic" in there.seen[0]
    assert SECRET.encode() not in there.seen[0]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7.0), ("0", 0.0), ("", None), ("soon", None), ("-3", None), ("٣", None), ("9" * 400, 999_999_999.0)],
)
def test_how_long_a_server_wants_to_be_left_alone_is_read(said, seconds):
    import httpx

    assert Reply(429, httpx.Headers({b"retry-after": said.encode()})).retry_after == seconds


def test_a_date_after_which_to_ask_again_is_read_too():
    from datetime import datetime, timedelta, timezone
    from email.utils import format_datetime

    later = datetime.now(timezone.utc) + timedelta(seconds=90)
    assert 80 < Reply(503, {"Retry-After": format_datetime(later, usegmt=True)}).retry_after <= 90
    assert Reply(503, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}).retry_after == 0.0


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 200_000])
def test_a_body_that_is_no_json_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"."):
        Reply(200, {}, body).json()


def test_addresses_are_shown_without_what_is_secret_in_them():
    assert shown(f"https://ada:{SECRET}@host:1/v1/x?token={SECRET}#{SECRET}") == "https://host:1/v1/x"
    assert shown(f"ada:{SECRET}@host") == "host"
    assert shown(f"http://ada:{SECRET}@{SECRET}@[::1]:9/") == "http://[::1]:9/"
    assert shown("http://host/a@b") == "http://host/a@b"


def test_a_process_that_ends_and_starts_no_more_threads_sends_all_the_same(peer, monkeypatch):
    there = peer(WELL)

    def refused(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        assert send("GET", there.url, timeout=20).status == 200


def test_a_forked_process_can_send_too(peer):
    there = peer(WELL)
    assert send("GET", there.url, timeout=20).status == 200
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            status = 0 if send("GET", there.url, timeout=20).status == 200 else 2
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that no authority has signed, and its key."""
    import shutil
    import subprocess

    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-days", "2", "-nodes"]
    subprocess.run([openssl, "req", "-x509", "-newkey", "rsa:2048", *made, *names], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def secure(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(link, server_side=True) as wrapped:
                asked = wrapped.recv(65536)
                if b"/slow" in asked:
                    dripping(b"HTTP/1.1 200 OK\r\n\r\n")(wrapped)
                wrapped.sendall(WELL)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(timeout=20)


def test_certificates_are_checked_and_the_reason_is_told(secure, certificate):
    with pytest.raises(NoReply, match="certificate verify failed"):
        send("GET", secure, timeout=20)
    assert send("GET", secure, timeout=20, verify=str(certificate[0])).status == 200
    assert send("GET", secure, timeout=20, verify=False).status == 200


def test_the_time_limit_holds_over_tls_too(secure):
    with pytest.raises(NoReply, match="no whole reply within"):
        send("GET", f"{secure}slow", timeout=1, verify=False)
    none_is_left()


def test_authorities_are_those_of_the_system_which_the_environment_may_name(secure, certificate, monkeypatch):
    from driftwatch.http.network import certificates

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    certificates.cache_clear()
    try:
        assert send("GET", secure, timeout=20).status == 200
    finally:
        certificates.cache_clear()
