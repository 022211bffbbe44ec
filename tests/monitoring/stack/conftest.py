"""Real servers for the tests of this folder, each on a free port of loopback, each stopped at the end."""

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.requires import tool
from support.servers import Webhook, answers, free_port, wait_for

from driftwatch.monitoring import stack


@pytest.fixture
def webhook():
    made = Webhook()
    yield made
    made.close()


@pytest.fixture
def start(tmp_path):
    """Starts stacks, and stops them all at the end."""
    tool("prometheus")
    tool("prometheus-alertmanager", "alertmanager")
    folders = []

    def started(**options):
        folder = tmp_path / f"stack-{len(folders)}"
        folders.append(folder)
        return stack.up(folder, prometheus_port=0, alertmanager_port=0, use_compose=False, **options)

    yield started
    for folder in folders:
        stack.down(folder)


@pytest.fixture
def pushgateway():
    """The address of a real Pushgateway."""
    program = tool("prometheus-pushgateway", "pushgateway")
    port = free_port()
    command = [program, f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for("the Pushgateway", lambda: answers(f"http://127.0.0.1:{port}/-/ready"), seconds=20)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def textfile(tmp_path):
    """A file, and the address of a server that exposes it as node_exporter's textfile collector would."""
    path = tmp_path / "driftwatch.prom"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            if path.exists():
                self.wfile.write(path.read_bytes())

        def log_message(self, *args):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(0.05), daemon=True)
    thread.start()
    yield path, f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
