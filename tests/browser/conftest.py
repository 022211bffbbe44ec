"""A real headless Chromium on a real server."""

import threading
import time

import pytest
from support.requires import tool

from driftwatch.service.app import create_app
from driftwatch.service.library import Library
from driftwatch.service.live import StreamingServer, listening

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser():
    program = tool("chromium", "chromium-browser")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def address(root):
    """The service over `root`, at its address."""
    library = Library(root, poll_seconds=0.2)
    opened = listening("127.0.0.1", 0)
    server = StreamingServer(create_app(library), max_connections=100)
    thread = threading.Thread(target=lambda: server.run(sockets=[opened]), daemon=True)
    thread.start()
    while not (server.started and library.is_ready):
        time.sleep(0.01)
    yield f"http://127.0.0.1:{opened.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
    opened.close()


class Watched:
    """A page, with everything that its console and network complained about."""

    def __init__(self, page):
        self.page = page
        self.complaints = []
        self.foreign = []
        page.on(
            "console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text)
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request):
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            self.foreign.append(request.url)

    def open(self, url):
        self.page.goto(url, wait_until="domcontentloaded")
        return self.page


@pytest.fixture
def look(browser):
    """Opens pages, of any size and colour scheme."""
    contexts = []

    def opened(*, width=1280, height=900, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(30_000)
        contexts.append(context)
        return Watched(context.new_page())

    yield opened
    for context in contexts:
        context.close()
