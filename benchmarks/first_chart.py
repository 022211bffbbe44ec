"""How soon the page of a run of 200 observations shows its first chart, in a real Chromium.

The page is opened once to warm the service, then several times; one JSON line with the seconds from the request to the
first canvas. Needs the packages of `make test` and a Chromium on the path.

    python benchmarks/first_chart.py [--looks 200] [--times 5]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from playwright.sync_api import Browser, sync_playwright
from support.synthetic_runs import synthetic_run


def first_chart(browser: Browser, address: str) -> float:
    """Seconds until a fresh page shows a chart."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(".part-topics canvas")
    took = time.perf_counter() - began
    context.close()
    return took


def main() -> None:
    """Make a run, serve it, and observation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--looks", type=int, default=200)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sys.exit("expected a Chromium on the path; found none. Install chromium.")
    with tempfile.TemporaryDirectory(prefix="driftwatch-first-chart-") as folder:
        run = synthetic_run(Path(folder), "long", looks=options.looks)
        command = [sys.executable, "-m", "driftwatch", "serve", folder, "--port", "0"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            address = f"{server.stderr.readline().rsplit(' ', 1)[1].strip()}/runs/{run.folder.name}"
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
                warm_up = first_chart(browser, address)
                seconds = [round(first_chart(browser, address), 2) for _ in range(options.times)]
                browser.close()
        finally:
            server.terminate()
            server.wait(timeout=20)
    report = {
        "benchmark": "first_chart",
        "looks": options.looks,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "first_s": round(warm_up, 2),
        "seconds": sorted(seconds),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
