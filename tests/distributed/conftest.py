"""Starts real processes that train together, and brings back what each of them found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def on_ranks(tmp_path):
    """Runs a scenario of `scenarios.py` on two processes with gloo; a hang is an error after `timeout` seconds."""

    def run(scenario, *, num_ranks=2, timeout=150):
        processes = [
            subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("scenarios.py")), scenario, str(tmp_path)],
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(num_ranks),
                    "MASTER_ADDR": "localhost",
                    "MASTER_PORT": "29500",  # read by accelerate, used by nobody: the group meets in a file
                    "OMP_NUM_THREADS": "1",
                    "TOKENIZERS_PARALLELISM": "false",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(num_ranks)
        ]
        outputs = []
        try:
            outputs = [process.communicate(timeout=timeout)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        said = "\n".join(f"--- rank {rank}\n{output}" for rank, output in enumerate(outputs))
        assert [process.returncode for process in processes] == [0] * num_ranks, said
        return [json.loads((tmp_path / f"{scenario}-{rank}.json").read_text()) for rank in range(num_ranks)]

    return run
