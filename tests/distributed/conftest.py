"""Starts real processes that train together, and brings back what each of them found."""

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def run_on_ranks(folder, scenarios, **options):
    """Runs scenarios of `scenarios.py` one after the other on processes with gloo; a hang is an error.

    Where a rank ends with SIGSEGV, all are started once more; what crashes again is an error. Gloo's own thread (torch
    2.13) was once seen to break down so, in `malloc`; driftwatch is Python only.

    Returns:
        For each scenario what each rank found, or the traceback of its error under "error".
    """
    codes, said = started(folder, scenarios, **options)
    if -signal.SIGSEGV in codes:
        warnings.warn(f"ranks ended with {codes} and are started once more:\n{said}", stacklevel=2)
        shutil.rmtree(folder)
        folder.mkdir()
        codes, said = started(folder, scenarios, **options)
    assert set(codes) == {0}, said
    found = [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(len(codes))]
    return {scenario: [of_rank[scenario] for of_rank in found] for scenario in scenarios}


def started(folder, scenarios, *, num_ranks=2, timeout=900, **environment):
    """Exit codes of the ranks, and what they printed."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("scenarios.py")), str(folder), *scenarios],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(num_ranks),
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": "29500",  # read by accelerate, used by nobody: the group meets in a file
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "PYTHONFAULTHANDLER": "1",  # a rank that crashes says where
                **environment,
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
    return [process.returncode for process in processes], said


@pytest.fixture
def on_ranks(tmp_path):
    """Runs scenarios on processes of their own; gives their folder and what they found."""
    return lambda scenarios, **options: (tmp_path, run_on_ranks(tmp_path, scenarios, **options))


@pytest.fixture(scope="session")
def zero(tmp_path_factory):
    """Scenarios under DeepSpeed on the CPU, on two processes of their own."""
    environment = {"DRIFTWATCH_TEST_ZERO": "1", "DS_ACCELERATOR": "cpu"}
    return run_on_ranks(tmp_path_factory.mktemp("zero"), ("scoring", "failures"), timeout=900, **environment)


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """All scenarios without a Trainer, on the same two processes: starting them takes longest."""
    if not hasattr(torch.cpu.Stream, "record_event"):  # torch 2.6
        pytest.skip("this torch cannot shard a model on the CPU (FSDP2)")
    alone = (
        "one_rank_watches",
        "switched_off",
        "own_disks",
        "parts_fail",
        "fails_between",
        "judge_is_slow",
        "apart",
        "refused",
        "hostile",
    )
    scenarios = ("agreement", "failures", "scoring", "out_of_memory", "spreading", "engines", "monitor", *alone)
    folder = tmp_path_factory.mktemp("ranks")
    return {"folder": folder, **run_on_ranks(folder, scenarios, timeout=600)}
