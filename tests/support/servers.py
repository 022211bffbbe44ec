"""What tests of running servers share: waiting, free ports, a receiver of notifications."""

import json
import socket
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def wait_for(what, check, *, seconds):
    """What `check` gives, once that is true; it is tried again and again, since other processes take their time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = check()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Webhook:
    """Receives what Alertmanager sends."""

    def __init__(self):
        self.alerts = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.alerts += body["alerts"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.05), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def firing(self, name):
        return [a for a in self.alerts if a["labels"]["alertname"] == f"Driftwatch{name}" and a["status"] == "firing"]

    def wait(self, name, *, seconds):
        """The first alert of this name that was received."""
        return wait_for(f"Driftwatch{name} at the webhook", lambda: self.firing(name), seconds=seconds)[0]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:
            return reply.status == 200
    except OSError:
        return False
