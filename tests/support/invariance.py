"""Training twice, with and without driftwatch, and comparing what it left bit for bit."""

import random

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from driftwatch.callback import DriftCallback
from driftwatch.chat.format import ChatFormat
from driftwatch.judges.judge import Judgement
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import sample
from driftwatch.stance import Probs
from driftwatch.topics.topic import Item, Topic, TopicPack
from driftwatch.watch.schedule import Schedule

PACK = TopicPack(
    id="two",
    version="1.0.0",
    language="en",
    licence="Apache-2.0",
    source="this test",
    topics=(
        Topic("tea", "Tea", ("more tea", "less tea"), False, (Item("t1", ("I like tea.", "I like water.")),)),
        Topic("cats", "Cats", ("cats", "dogs"), True, (Item("c1", ("Cats are fun.", "Dogs are fun.")),)),
    ),
)
STEPS = 4
# In the Trainer's log, "eps" being PPO's episodes a second; everything else there must be equal.
TIMINGS = ("runtime", "per_second", "step_time", "eps")

# The compiler reads .grad of inner tensors and swallows the warning, which is an error here (torch 2.13).
# It also warns on Python 3.13.0 that 3.13.1 is faster.
compiles = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",
    "ignore:Guards may run slower on Python 3.13.0:RuntimeWarning",
)
# transformers 5.23 calls gradient checkpointing by a new name, which the oldest version that we support does not know;
# peft 0.21 and trl 1.16 use the old one too.
renamed = pytest.mark.filterwarnings("ignore:`.*` is deprecated and will be removed in v6:FutureWarning")


class CarelessProbe(StatementProbe):
    """Asks as usual, and disturbs everything that a probe can reach."""

    def prepare(self, model, tokenizer, topics):
        super().prepare(model, tokenizer, topics)
        self.chat = ChatFormat(tokenizer)
        self.tokenizer = tokenizer
        self.looks = 0

    def measure(self, model, **options):
        self.looks += 1
        random.random()
        np.random.rand()  # noqa: NPY002 - carelessness is the point
        torch.rand(3)
        torch.rand(3, device=model.device)
        model.eval()  # which this observation's last measurement has left in training mode: replies would be random
        sample(model, self.chat, ["Well?"], generator=torch.Generator().manual_seed(1), max_new_tokens=3)
        stances = super().measure(model, **options)
        model.train()
        model(torch.tensor([[7, 8, 9]], device=model.device), use_cache=True)
        model.config.use_cache = not model.config.use_cache
        return stances


class ByLength:
    """A judge that reads anything: replies of a random model say nothing."""

    id = "by length"

    def read(self, asked):
        return [Judgement(probs=Probs(1.0, 0.0, 0.0) if len(one.reply) % 2 else Probs(0.0, 0.0, 1.0)) for one in asked]


def watcher(tmp_path, **options):
    """driftwatch, looking before and after every step, with errors coming out."""
    settings = {
        "probes": (CarelessProbe(naysaying_items=0),),
        "confirm": Confirmation(ByLength(), Decoding(max_new_tokens=2), normal_draws=4, watched_draws=4),
        "schedule": Schedule(every_steps=1, budget=None),
        "exporters": (),
        "on_error": "raise",
    }
    return DriftCallback(PACK, output_dir=tmp_path / "runs", **{**settings, **options})


def outcome(trainer):
    """What training has made, as comparable values."""
    return {
        "weights": {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()},
        "buffers": {name: buffer.clone() for name, buffer in trainer.model.named_buffers()},
        "optimizer": trainer.optimizer.state_dict(),
        "losses": [
            {name: value for name, value in line.items() if not name.endswith(TIMINGS)}
            for line in trainer.state.log_history
        ],
        "steps": trainer.state.global_step,
    }


def assert_same(a, b, where="outcome"):
    """Equal bit for bit, wherever tensors are."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{index}]")
    else:
        assert a == b or (a != a and b != b), where


def compare(make, tmp_path, **train):
    """Trains twice and compares; returns the trainer that was watched."""
    plain = make([], tmp_path / "plain")
    plain.train(**train)
    callback = watcher(tmp_path)
    watched = make([callback], tmp_path / "watched")
    watched.train(**train)
    assert_same(outcome(plain), outcome(watched))
    assert callback.monitor.store is not None
    records = callback.monitor.store.records()
    assert sum(evidence.num_draws for evidence in records[-1].evidence) > 0, "replies were drawn, too"
    looked_at = [record.step for record in records]
    assert looked_at == list(range(watched.state.global_step + 1))
    return watched


def with_lora(model):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(5)
    return get_peft_model(model, LoraConfig(r=2, lora_dropout=0.2, target_modules=["q_proj", "v_proj"]))


class StopEarly(TrainerCallback):
    """Asks to stop in the middle."""

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == 2


def preferences():
    from datasets import Dataset

    words = ["red", "blue", "green", "gold", "grey", "pink"]
    return Dataset.from_dict(
        {
            "prompt": [f"Name {word}. " for word in words],
            "chosen": [f"{word} it is" for word in words],
            "rejected": ["no such thing" for _ in words],
        }
    )


def trl_settings(folder, **settings):
    return {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        **settings,
    }


def length_reward(completions, **_):
    return [float(len(str(completion)) % 7) for completion in completions]
