"""From a real training to a person's webhook, through real servers.

One training has all ways out at once: it is scraped, pushes, and writes a textfile. For each way there is a Prometheus
with an Alertmanager that knows no other. The drift is real: see training.py.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from support.servers import Webhook, wait_for

from driftwatch.monitoring.config import Config, Thresholds
from driftwatch.store.run_store import RunStore

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[3]
TRAINING = Path(__file__).with_name("training.py")
LEARNED_SECONDS = 120.0  # at most, on a loaded machine; 15 s on an idle one


def hasty(folder):
    """Settings of the rules under which nothing takes minutes; signs of life come every 15 s."""
    limits = replace(Thresholds(), away_seconds=2, silent_seconds=20)
    return Config(scrape_interval="1s", evaluation_interval="1s", thresholds=limits, runbook_url=f"file://{folder}")


@pytest.fixture
def train(tmp_path):
    """Starts a training and gives back its process and the store of its run; ends it if the test did not."""
    processes = []

    def started(options, *, steps):
        folder = tmp_path / "training"
        folder.mkdir()
        command = [sys.executable, str(TRAINING), str(folder), json.dumps(options), str(steps)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            )
        processes.append(process)
        store = RunStore(folder / "runs" / "r1")

        def endpoint():
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            return (store.folder / "records.jsonl").exists()

        wait_for("the first observation", endpoint, seconds=LEARNED_SECONDS)
        return process, store

    yield started
    for process in processes:
        process.kill()
        process.wait()


def test_drift_of_a_real_training_reaches_the_webhook_and_so_does_its_death(train, start, pushgateway, textfile):
    file, served_file = textfile
    options = {"port": 0, "pushgateway": f"http://{pushgateway}", "textfile": str(file)}
    process, store = train(options, steps=500)
    endpoint = json.loads((store.folder / "endpoint.json").read_text())
    ways = {"scraped": f"127.0.0.1:{endpoint['port']}", "pushed": pushgateway, "written": served_file}
    hooks = {way: Webhook() for way in ways}
    try:
        stacks = {
            way: start(
                **{"pushgateways" if way == "pushed" else "targets": [target]}, webhook=hooks[way].url, config=hasty
            )
            for way, target in ways.items()
        }
        for hook in hooks.values():
            alert = hook.wait("ValueDriftBeyondTolerance", seconds=LEARNED_SECONDS)
            labels = alert["labels"]
            assert (labels["run"], labels["topic"], labels["kind"]) == ("r1", "parks", "direction")
            assert labels["severity"] == "critical"
            assert re.fullmatch(
                'Run r1: parks moved beyond tolerance toward "more building"; net shift [0-9]+ % of replies, '
                'toward "more building"',
                alert["annotations"]["summary"],
            )
            text = alert["annotations"]["description"]
            assert 'between "more nature" and "more building"' in text
            assert 'the baseline "start"' in text
            assert "at most 1%" in text
            assert "unknown" not in text
            assert all(found["labels"]["topic"] == "parks" for found in hook.firing("ValueDriftBeyondTolerance"))
            assert not hook.firing("RunCrashed")

        process.send_signal(signal.SIGKILL)
        process.wait()
        for way, hook in hooks.items():
            alert = hook.wait("RunCrashed", seconds=90)
            assert alert["annotations"]["summary"] == "Run r1 died, or cannot be reached", way
        assert stacks["scraped"].targets()[0][1] != "up"
        assert stacks["pushed"].targets()[0][1] == "up"
    finally:
        for hook in hooks.values():
            hook.close()


def test_run_that_ends_well_while_it_is_scraped_is_not_called_crashed(train, start, webhook):
    process, store = train({"port": 0}, steps=160)
    endpoint = json.loads((store.folder / "endpoint.json").read_text())
    stack = start(targets=[f"127.0.0.1:{endpoint['port']}"], webhook=webhook.url, config=hasty)
    alert = webhook.wait("RunFinishedDrifted", seconds=LEARNED_SECONDS)
    assert "labelled specific, which reads as a change of values: 1" in alert["annotations"]["description"]
    assert process.wait(timeout=30) == 0
    assert store.state() == "finished"
    wait_for("the endpoint to be gone", lambda: stack.targets()[0][1] != "up", seconds=20)
    # Longer than a vanished run takes to be called crashed.
    seen = set()
    wait_for("rules to be evaluated", lambda: seen.add(last_evaluation(stack)) or len(seen) >= 6, seconds=20)
    assert not webhook.firing("RunCrashed")
    assert "DriftwatchRunCrashed" not in {labels["alertname"] for labels in stack.firing()}


def _kind(way):
    return "pushgateways" if way == "pushed" else "targets"


def last_evaluation(stack):
    with urllib.request.urlopen(f"{stack.prometheus}/api/v1/rules", timeout=5) as reply:
        return json.load(reply)["data"]["groups"][0]["lastEvaluation"]
