"""The bit-identity suite on a CUDA device, whose generators, kernels and allocator a look uses too."""

import pytest
import torch
from test_invariance import compare, make_dpo, make_sampling, make_trainer, renamed, with_lora

__all__ = ["make_dpo", "make_sampling", "make_trainer"]  # fixtures

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    renamed,
]


@pytest.mark.parametrize(
    "settings",
    [{}, {"bf16": True}, {"gradient_checkpointing": True}, {"gradient_accumulation_steps": 3}, {"tf32": True}],
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
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    benchmarks = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmarks


@pytest.mark.usefixtures("whatever_was_deterministic")
def test_looks_work_where_torch_must_be_deterministic(make_trainer, tmp_path):
    compare(make_trainer(use_cpu=False, full_determinism=True), tmp_path)


@pytest.mark.slow
def test_compiled_training(make_trainer, tmp_path):
    compare(make_trainer(use_cpu=False, torch_compile=True), tmp_path)


@pytest.mark.parametrize("adapter", [False, True])
def test_dpo(make_dpo, tmp_path, adapter):
    compare(make_dpo(adapter=adapter, use_cpu=False, bf16=True), tmp_path)


def test_grpo(make_sampling, tmp_path):
    watched = compare(make_sampling("GRPO", use_cpu=False, bf16=True), tmp_path)
    assert len({line["reward"] for line in watched.state.log_history if "reward" in line}) > 1
