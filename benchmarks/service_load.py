"""`driftwatch serve` under load: 200 runs of 200 observations, 50 requests a second for a minute, 20 open streams.

Prints one JSON line: times of /metrics and of the run list while nothing else is asked, then the percentiles of every
kind of request under load, errors, and the server's memory. All traffic stays on 127.0.0.1.

    python benchmarks/service_load.py [--runs 200] [--looks 200] [--seconds 60] [--rate 50] [--streams 20]
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.synthetic_runs import cloned, synthetic_run

KINDS = (
    "/metrics",
    "/api/v1/runs",
    "/api/v1/runs/{run}",
    "/api/v1/runs/{run}/series",
    "/api/v1/runs/{run}/series?since={last}",
    "/api/v1/runs/{run}/movers",
    "/",
    "/healthz",
)
WEIGHTS = (1, 8, 12, 2, 16, 2, 5, 4)  # of 50: a scrape and two newly opened runs a second, pages that follow theirs


def topics(number):
    """A bank of that many topics."""
    names = [f"topic_{n:02}" for n in range(number)]
    return {name: (name.title(), "first pole", "second pole") for name in names}


def make(folder, runs, looks):
    """One run made by the real code, and copies of it under other names, all of them running."""
    first = synthetic_run(
        folder, "run-000", looks=looks, topics=topics(14), num_items=12, state="running", replies=False
    )
    for number in range(1, runs):
        cloned(first, f"run-{number:03}")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def timed(url):
    """Seconds and bytes of an answer."""
    began = time.perf_counter()
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        size = len(reply.read())
    return time.perf_counter() - began, size


def beat(folder, stop):
    """What trainers do meanwhile: their hearts beat, and one in ten runs has an observation every few seconds."""
    stores = sorted(path for path in folder.iterdir() if path.is_dir())
    line = (stores[0] / "records.jsonl").read_bytes().splitlines()[-1]
    number = 10_000
    while not stop.wait(2.0):
        for path in stores:
            (path / "heartbeat").touch()
        for path in stores[::10]:
            number += 1
            text = line.replace(b'"run":"run-000"', f'"run":"{path.name}"'.encode())
            text = text.replace(b'"look":', b'"look":%d,"was":' % number, 1)
            with (path / "records.jsonl").open("ab") as file:
                file.write(text + b"\n")


class Stream(threading.Thread):
    """One page that listens."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.events, self.failed = url, 0, None
        self.start()

    def run(self):
        """Count events until the server ends."""
        try:
            with urllib.request.urlopen(self.url, timeout=30) as reply:
                for line in reply:
                    self.events += line.startswith(b"event: ")
        except OSError as err:
            self.failed = str(err)


def load(base, runs, looks, rate, seconds):
    """Requests at a fixed pace, late ones included in the times."""
    plan = [kind for kind, weight in zip(KINDS, WEIGHTS, strict=True) for _ in range(weight)]
    times, errors, lock = {}, [], threading.Lock()
    begin = time.perf_counter() + 0.5

    def worker(offset, step):
        for number in range(offset, int(rate * seconds), step):
            due = begin + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            kind = plan[(number * 7) % len(plan)]
            url = base + kind.format(run=f"run-{number % runs:03}" if number % 3 else "run-000", last=looks - 1)
            try:
                timed(url)
                with lock:
                    times.setdefault(kind, []).append(time.perf_counter() - due)
            except OSError as err:
                with lock:
                    errors.append(f"{kind}: {err}")

    threads = [threading.Thread(target=worker, args=(i, 16)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, errors


def memory(pid):
    """Peak resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024)
    return None


def milliseconds(values):
    """Percentiles of seconds, in milliseconds."""
    ordered = sorted(values)
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    picked = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in at.items()}
    return {"n": len(ordered), **{name: round(1000 * value, 1) for name, value in picked.items()}}


def main():
    """Make the runs, serve them, ask, and print what was found."""
    parser = argparse.ArgumentParser()
    for name, default in (("runs", 200), ("looks", 200), ("seconds", 60), ("rate", 50), ("streams", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="driftwatch-load-"))
    stop = threading.Event()
    server = None
    try:
        began = time.perf_counter()
        size = make(folder, options.runs, options.looks)
        print(f"{size >> 20} MiB of runs made in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "driftwatch", "serve", str(folder), "--port", "0"]
        began = time.perf_counter()
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        base = server.stderr.readline().rsplit(" ", 1)[1].strip()
        threading.Thread(target=lambda: [None for _ in server.stderr], daemon=True).start()
        while True:
            try:
                timed(f"{base}/readyz")
                break
            except OSError:
                time.sleep(0.1)
        ready = time.perf_counter() - began
        first_scrape, scrape_bytes = timed(f"{base}/metrics")
        threading.Thread(target=beat, args=(folder, stop), daemon=True).start()
        time.sleep(3)
        quiet = {kind: statistics.median(timed(base + kind)[0] for _ in range(9)) for kind in KINDS[:2]}
        streams = [
            Stream(f"{base}/api/v1/runs/run-{n * 10:03}/events" if n % 2 else f"{base}/api/v1/events")
            for n in range(options.streams)
        ]
        times, errors = load(base, options.runs, options.looks, options.rate, options.seconds)
        report = {
            "benchmark": "service_load",
            "runs": options.runs,
            "looks": options.looks,
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "disk_mib": round(size / 2**20),
            "ready_s": round(ready, 2),
            "first_scrape_ms": round(1000 * first_scrape),
            "scrape_mib": round(scrape_bytes / 2**20, 2),
            "metrics_ms": round(1000 * quiet["/metrics"], 1),
            "run_list_ms": round(1000 * quiet["/api/v1/runs"], 1),
            "requests": sum(map(len, times.values())),
            "errors": len(errors),
            "first_errors": errors[:3],
            "under_load_ms": {kind: milliseconds(values) for kind, values in times.items()},
            "stream_events": sum(stream.events for stream in streams),
            "streams_failed": sum(stream.failed is not None for stream in streams),
            "server_peak_mib": memory(server.pid),
            "client_peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        print(json.dumps(report))
        return 1 if errors or any(stream.failed for stream in streams) else 0
    finally:
        stop.set()
        if server is not None:
            server.terminate()
            server.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
