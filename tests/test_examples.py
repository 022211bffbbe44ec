"""Examples are run, not only shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.builders import PARKS

from driftwatch.store.run_store import RunStore

ROOT = Path(__file__).parent.parent


@pytest.fixture
def model(tmp_path, tiny_tokenizer, tiny_llama):
    folder = tmp_path / "model"
    tiny_llama.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def write_pack(folder):
    items = [
        f"      - id: p{n}\n        sides: [I want more trees in the {place}., Our {place} needs new houses.]\n"
        for n, place in enumerate(("street", "valley", "harbour", "town", "school"))
    ]
    path = folder / "pack.yaml"
    path.write_text(PARKS.lstrip() + "".join(items))
    return path


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.slow
def test_sft_then_dpo_watches_both_stages(tmp_path, model):
    question = [{"role": "user", "content": "What do we need?"}]
    trees, houses = ([{"role": "assistant", "content": text}] for text in ("More trees.", "More houses."))
    sft = write_rows(tmp_path / "sft.jsonl", [{"prompt": question, "completion": trees}] * 8)
    pairs = write_rows(tmp_path / "pairs.jsonl", [{"prompt": question, "chosen": trees, "rejected": houses}] * 8)
    command = [sys.executable, str(ROOT / "examples/sft_then_dpo.py"), "--model", str(model), "--sft", str(sft)]
    command += ["--pairs", str(pairs), "--pack", str(write_pack(tmp_path)), "--steps", "2", "--every", "1"]
    environment = {**os.environ, "DRIFTWATCH_PORT": "0", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "runs")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "how far did it move?" in done.stdout
    store = RunStore(tmp_path / "runs/dpo")
    assert next(r.step for r in store.records()) == 0
    assert set(store.info().baselines) == {"start", "sft"}
    assert store.info().notes == ()


SETTINGS = """
pack: pack.yaml
probes: [{statement: {naysaying_items: 0}}]
schedule: {every_steps: 2, early_dense: false, budget: null}
exporters: []
output_dir: runs
run: loop
"""


@pytest.fixture
def loop(tmp_path, model):
    """Runs an example of a loop for three steps, and gives the run that it left."""
    write_pack(tmp_path)
    (tmp_path / "drift.yaml").write_text(SETTINGS)
    texts = write_rows(tmp_path / "texts.jsonl", [{"text": f"I want {n} more trees in the street."} for n in range(16)])
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
    }

    def run(*command):
        options = ["--model", str(model), "--texts", str(texts), "--config", "drift.yaml", "--steps", "3"]
        done = subprocess.run(
            [sys.executable, *command, *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        store = RunStore(tmp_path / "runs" / "loop")
        assert os.listdir(tmp_path / "runs") == ["loop"], "one run, whatever the number of workers"
        assert [(record.step, record.phase) for record in store.records()] == [(0, "start"), (2, "train"), (3, "end")]
        assert store.state() == "finished"
        moved = [drift.log_odds_shift for drift in store.records()[-1].drifts]
        assert all(moved), "the model is trained, and the observations see it"
        return store

    return run


def test_a_plain_loop_is_watched(loop):
    assert loop(str(ROOT / "examples/plain_loop.py")).info().num_processes == 1


@pytest.mark.slow
def test_an_accelerate_loop_on_two_processes_is_watched_as_one_run(loop):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    assert loop(*torchrun, str(ROOT / "examples/accelerate_loop.py"), "--cpu").info().num_processes == 2


@pytest.mark.slow
def test_two_workers_of_ray_train_are_watched_as_one_run(loop, tmp_path):
    pytest.importorskip("ray")
    found = loop(str(ROOT / "examples/ray_train.py"), "--workers", "2", "--out", str(tmp_path / "ray"))
    assert found.info().num_processes == 2


@pytest.mark.parametrize("name", ["sft_then_dpo", "plain_loop", "accelerate_loop", "ray_train"])
def test_the_example_stays_short_enough_to_copy(name):
    assert len((ROOT / f"examples/{name}.py").read_text().splitlines()) < 60
