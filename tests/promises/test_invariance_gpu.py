"""The bit-identity suite on a CUDA device, whose generators, kernels and allocator an observation uses too."""

import os

import pytest
import torch
from support.invariance import compare, compiles, renamed, with_lora

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        torch.cuda.device_count() != 1, reason="needs one CUDA device; with several, set CUDA_VISIBLE_DEVICES=0"
    ),
    renamed,
]


@pytest.mark.parametrize(
    "settings",
    [{}, {"bf16": True}, {"gradient_checkpointing": True}, {"gradient_accumulation_steps": 3}],
    ids=str,
)
def test_full_training_with_dropout(make_trainer, tmp_path, settings):
    compare(make_trainer(use_cpu=False, **settings), tmp_path)


def test_lora_with_dropout(make_trainer, tmp_path):
    compare(make_trainer(wrap=with_lora, use_cpu=False, bf16=True), tmp_path)


@pytest.fixture
def whatever_was_deterministic(monkeypatch):
    """Torch's switch and the variables that transformers sets are put back."""
    for name in ("CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG", "FLASH_ATTENTION_DETERMINISTIC"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    benchmarks = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmarks


@pytest.mark.usefixtures("whatever_was_deterministic")
def test_looks_work_where_torch_must_be_deterministic(make_trainer, tmp_path):
    compare(make_trainer(use_cpu=False, full_determinism=True), tmp_path)


@compiles
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning")
@pytest.mark.slow
def test_compiled_training(make_trainer, tmp_path):
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    compare(make_trainer(use_cpu=False, torch_compile=True), tmp_path)
    assert counters["stats"]["unique_graphs"] > 0
    torch._dynamo.reset()


@pytest.mark.parametrize("adapter", [False, True])
def test_dpo(make_dpo, tmp_path, adapter):
    compare(make_dpo(adapter=adapter, use_cpu=False, bf16=True), tmp_path)


def test_grpo(make_sampling, tmp_path):
    watched = compare(make_sampling("GRPO", use_cpu=False, bf16=True), tmp_path)
    assert len({line["reward"] for line in watched.state.log_history if "reward" in line}) > 1
