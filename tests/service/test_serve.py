"""The command itself, as a process, over a folder in which everything is wrong that can be."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from support.builders import record, run_info
from support.servers import wait_for
from support.synthetic_runs import synthetic_run

from driftwatch.record.record import to_json
from driftwatch.service.push import MAX_BODY
from driftwatch.store.run_store import RunStore

AUTH = {"Authorization": "Bearer a-token-for-tests"}


class Service:
    """`driftwatch serve` over a folder."""

    def __init__(self, folder):
        command = [sys.executable, "-m", "driftwatch", "serve", str(folder), "--port", "0"]
        environment = {**os.environ, "DRIFTWATCH_TOKEN": "a-token-for-tests"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.base = self.process.stderr.readline().rsplit(" ", 1)[1].strip()
        self.log = []
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self._reader.start()

    def ask(self, path, data=None, headers=None):
        request = urllib.request.Request(self.base + path, data=data, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as err:
            with err:
                return err.code, err.read().decode()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)
        self._reader.join(timeout=5)
        self.process.stderr.close()


@pytest.fixture
def root(root):
    """A sound run, a torn one, one of a newer version, one that will go, one whose name would hurt a terminal."""
    synthetic_run(root, "good", looks=4)
    shutil.copytree(root / "good", root / "torn")
    records = root / "torn" / "records.jsonl"
    records.write_bytes(records.read_bytes()[:-700])
    shutil.copytree(root / "good", root / "newer")
    for name in ("run.json", "records.jsonl"):
        path = root / "newer" / name
        path.write_text(re.sub(r'"schema": ?\d+', '"schema":99', path.read_text()))
    shutil.copytree(root / "good", root / "going")
    odd = RunStore(root / "\x1b[31mred\n")
    odd.create(run_info("odd", topics=()))
    odd.append(record(0, 0, run="odd"))
    (odd.folder / "stances.jsonl").write_bytes(b"no stances\n")
    (odd.folder / "baseline-start.json").write_bytes((root / "good" / "baseline-start.json").read_bytes())
    return root


@pytest.fixture
def service(root):
    running = Service(root)
    wait_for("the service", lambda: running.ask("/readyz")[0] == 200, seconds=30)
    yield running
    running.close()


def test_whatever_is_in_the_folder_or_is_sent_the_service_stays_up(service, root):
    rows = {row["run"]: row for row in json.loads(service.ask("/api/v1/runs")[1])["runs"]}
    assert (rows["good"]["looks"], rows["torn"]["looks"], rows["newer"]["looks"]) == (4, 3, 0)
    assert "schema 99" in rows["newer"]["problem"]
    assert 'driftwatch_observed_step{run="good"}' in service.ask("/metrics")[1]
    (odd,) = rows.keys() - {"good", "torn", "newer", "going"}
    for name in rows:
        for part in ("", "/series", "/movers", "/records"):
            assert service.ask(f"/api/v1/runs/{urllib.request.quote(name)}{part}")[0] == 200

    shutil.rmtree(root / "going")
    wait_for("the run to leave", lambda: service.ask("/api/v1/runs/going")[0] == 404, seconds=20)

    push = b'{"info":' + to_json(run_info("p")) + b',"records":[' + to_json(record(0, 0, run="p")) + b"]}"
    address = "/api/v1/runs/p/records"
    assert service.ask(address, push)[0] == 401
    assert json.loads(service.ask(address, push, AUTH)[1])["accepted"] == 1
    assert json.loads(service.ask(address, push, AUTH)[1])["duplicates"] == 1
    assert service.ask("/api/v1/runs/q/records", push, AUTH)[0] == 422
    assert service.ask(address, b"[" * 1_000_000, AUTH)[0] == 422
    status, text = service.ask(address, b"x" * (MAX_BODY + 1_000_000), AUTH)
    assert (status, "send fewer observations" in text) == (413, True)  # and not a connection cut off while it sends
    assert [found.look for found in RunStore(root / "p").records()] == [0]

    assert service.ask("/healthz") == (200, "ok\n")
    service.close()
    assert odd == "\x1b[31mred\n"
    log = "".join(service.log)
    assert "\\x1b[31mred\\n/stances.jsonl cannot be read" in log  # named in full, and one line for all that
    assert "\x1b" not in log
