"""Examples are run, not only shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftwatch.store import RunStore

ROOT = Path(__file__).parent.parent
PACK = """
id: two
version: 1.0.0
language: en
licence: Apache-2.0
source: Written for a test.
topics:
  - id: parks
    title: Parks
    poles: [more nature, more building]
    control: false
    items:
"""


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
    path.write_text(PACK.lstrip() + "".join(items))
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


def test_the_example_stays_short_enough_to_copy():
    assert len((ROOT / "examples/sft_then_dpo.py").read_text().splitlines()) < 60
