"""A run that is killed in the middle of an observation: its folder is read, and it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from driftwatch.store.run_store import RunStore

TRAINING = """
import sys, time
from pathlib import Path

sys.path.insert(0, {tests!r})
from support.trainings import callback, trainer
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_tokenizer

folder, hang_at, resume = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "resume"


class Hanging(StatementProbe):
    seen = 0

    def measure(self, model, *, permuted=False, **options):
        self.seen += not permuted
        if not permuted and self.seen == hang_at:
            (folder / "in-a-look").touch()
            time.sleep(600)
        return super().measure(model, permuted=permuted, **options)


watch = callback(folder, probes=(Hanging(naysaying_items=1),))
run = trainer(folder, tiny_tokenizer(), [watch], max_steps=8, save_strategy="steps", save_steps=2)
run.train(resume_from_checkpoint=str(folder / "out/checkpoint-4") if resume else None)
"""


def training(folder, hang_at, resume="new"):
    code = TRAINING.format(tests=str(Path(__file__).parents[1]))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(hang_at), resume],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_run_killed_in_a_look_is_read_and_goes_on_without_a_gap_or_a_duplicate(tmp_path):
    killed = training(tmp_path, hang_at=4)  # the observation at step 6
    deadline = time.monotonic() + 300
    while not (tmp_path / "in-a-look").exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    _, errors = killed.communicate()
    assert (tmp_path / "in-a-look").exists(), errors[-2000:]
    listed = subprocess.run(
        [sys.executable, "-m", "driftwatch", "runs", "list", str(tmp_path / "runs"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = json.loads(listed.stdout)
    assert (row["run"], row["step"], row["looks"]) == ("r1", 4, 3)
    resumed = training(tmp_path, hang_at=-1, resume="resume")
    _, errors = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, errors[-2000:]
    records = RunStore(tmp_path / "runs/r1").records()
    assert [(r.attempt, r.step) for r in records] == [(0, 0), (0, 2), (0, 4), (1, 6), (1, 8)]
    assert RunStore(tmp_path / "runs/r1").state() == "finished"
