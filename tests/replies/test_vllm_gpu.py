"""A real vLLM, in a real GRPO training: what `test_vllm.py` shows on a stand-in. Not run with a real one yet.

pip install "trl[vllm]" && pytest tests/replies/test_vllm_gpu.py -m gpu
"""

import json

import pytest
import torch
from support.invariance import ByLength, assert_same, outcome, preferences, renamed, trl_settings

from driftwatch import DriftCallback, Schedule
from driftwatch.chat.format import ChatFormat
from driftwatch.host.guard import undisturbed
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import sample
from driftwatch.replies.vllm import find_engine, written
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    renamed,
    pytest.mark.filterwarnings("default"),  # vLLM and what it imports warn of many things
]
LARGE_ENOUGH = {"hidden_size": 128, "head_dim": 64, "num_attention_heads": 2, "num_key_value_heads": 1}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A maker of trainers with vLLM in their own process; heads as large as its kernels want them."""
    pytest.importorskip("vllm", reason="needs the package vllm")
    from transformers import AutoModelForCausalLM, set_seed
    from trl import GRPOConfig, GRPOTrainer

    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):  # TRL sets them for good
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    tokenizer, folder = tiny_tokenizer(), tmp_path / "model"
    tiny_model(tokenizer, **LARGE_ENOUGH).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    def made(callbacks, name, *, adapter=False, **settings):
        from peft import LoraConfig

        set_seed(0)
        shared = {**trl_settings(tmp_path / name), "use_cpu": False, "bf16": True, "per_device_train_batch_size": 4}
        ours = {"num_generations": 4, "max_completion_length": 16, "use_vllm": True, "vllm_mode": "colocate"}
        ours |= {"vllm_gpu_memory_utilization": 0.1, "vllm_max_model_length": 1024}
        return GRPOTrainer(
            AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16),
            reward_funcs=lambda completions, **_: [float(sum(map(ord, text)) % 11) for text in completions],
            args=GRPOConfig(**{**shared, **ours, **settings}),
            train_dataset=preferences().select_columns(["prompt"]),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=2, target_modules=["q_proj", "v_proj"]) if adapter else None,
            callbacks=callbacks,
        )

    return made


def watcher(folder):
    return DriftCallback(
        tiny_pack(),
        probes=(StatementProbe(naysaying_items=0),),
        confirm=Confirmation(ByLength(), Decoding(max_new_tokens=8), normal_draws=8, watched_draws=8),
        schedule=Schedule(every_steps=1, early_dense=False, budget=None),
        exporters=(),
        output_dir=folder / "runs",
        on_error="raise",
    )


@pytest.mark.parametrize("settings", [{}, {"vllm_enable_sleep_mode": True}, {"adapter": True}], ids=str)
def test_replies_come_from_the_engine_and_training_is_what_it_was(make, tmp_path, settings):
    plain = make([], "plain", **settings)
    plain.train()
    expected = outcome(plain)
    callback = watcher(tmp_path)
    trainer = make([callback], "watched", **settings)
    callback.use_engine(trainer)
    trainer.train()
    store = callback.monitor.store
    records = store.records()
    assert callback.monitor.info.identity["confirm/sampler"].startswith("vLLM "), callback.monitor.info.notes
    assert all(record.failures == () for record in records)
    pairs = [json.loads(line) for line in store.lines("replies/000001.jsonl")]
    assert {pair["now"]["entropy"] for pair in pairs} == {None}
    assert len({pair["now"]["text"] for pair in pairs}) > 1
    assert_same(expected, outcome(trainer))


def test_the_engine_holds_the_weights_of_today(make, tiny_tokenizer):
    """Its likeliest replies are those of the model in training, but for the rounding of other kernels."""
    trainer = make([], "plain")
    trainer.train()
    chat, questions = ChatFormat(tiny_tokenizer), [f"What about {n}?" for n in range(32)]
    greedy, stops = Decoding(temperature=0, max_new_tokens=1), [tiny_tokenizer.eos_token_id]
    with undisturbed(trainer.model) as asked:
        engine = find_engine(trainer)
        theirs = written(engine, chat, questions, seeds=range(32), decoding=greedy, stop_ids=stops)
        again = written(engine, chat, questions, seeds=range(32), decoding=greedy, stop_ids=stops)
        ours = sample(
            asked, chat, questions, generator=torch.Generator(), temperature=0, max_new_tokens=1, stop_ids=stops
        )
    assert theirs == again
    assert sum(a.text == b.text for a, b in zip(ours, theirs, strict=True)) >= 28
