"""README's picture: a screenshot of the page of a run, by a headless Chromium.

python docs/pictures/run.py --run driftwatch-demo/dpo/driftwatch/RUN     of a run folder
python docs/pictures/run.py --url http://127.0.0.1:9464                  of a run in training, for example make demo
python docs/pictures/run.py --url http://127.0.0.1:9465/runs/RUN         of a service
"""

import argparse
import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

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


@contextlib.contextmanager
def served(run: Path) -> Iterator[str]:
    """The page of one run folder, at an address."""
    library = Library(run)
    opened = listening("127.0.0.1", 0)
    server = StreamingServer(create_app(library, single=run.resolve().name), max_connections=20)
    thread = threading.Thread(target=lambda: server.run(sockets=[opened]), daemon=True)
    thread.start()
    while not (server.started and library.is_ready):
        time.sleep(0.02)
    yield f"http://127.0.0.1:{opened.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
    opened.close()


def shot(url: str, out: Path, *, width: int, height: int, figure: str, dark: bool) -> None:
    """Open the page, choose what the charts show, and write the picture."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("a Chromium is needed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(
            viewport={"width": width, "height": height},
            device_scale_factor=1.5,
            color_scheme="dark" if dark else "light",
        )
        page.goto(url)
        runs = page.locator(".runs a")
        page.locator(".part-topics canvas").or_(runs).first.wait_for(timeout=30_000)
        if runs.count():  # a service, which begins with the list: the run on top of it
            runs.first.click()
            page.wait_for_selector(".part-topics canvas", timeout=30_000)
        wanted = page.locator(f"button:has-text('{figure}')")
        if wanted.count():
            wanted.first.click()
        page.wait_for_timeout(500)  # the charts have been resized by then
        page.mouse.move(0, 0)
        out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(out))
        browser.close()


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="a run's folder")
    source.add_argument("--url", help="a page that is being served")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("run.png"))
    parser.add_argument("--width", type=int, default=1240)
    parser.add_argument("--height", type=int, default=960)
    parser.add_argument("--figure", default="Stance shares", help='or "Shift from baseline"')
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    picture = {name: getattr(options, name) for name in ("width", "height", "figure", "dark")}
    with served(options.run) if options.run else contextlib.nullcontext(options.url) as url:
        shot(url, options.out, **picture)
    sys.stdout.write(f"wrote {options.out}\n")


if __name__ == "__main__":
    main()
