"""Training with driftwatch ends where it would have ended without: same weights, optimizer and losses, bit for bit.

The probe used here looks at every step and is as careless as a probe can be: besides asking its questions it draws from
every global generator, samples, and leaves modes and settings as it likes. Each kind of training runs twice, with and
without; `test_comparison_notices_a_callback_that_is_not_guarded` shows that the comparison can fail.
"""

import random

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments, default_data_collator, set_seed

from driftwatch.callback import DriftCallback
from driftwatch.chat.format import ChatFormat
from driftwatch.judges.judge import Reading
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.sampling import Decoding, sample
from driftwatch.stance import Probs
from driftwatch.testing import tiny_model
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
        model.eval()  # which the last measurement of this look has left in training mode: replies would be random
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
        return [Reading(probs=Probs(1.0, 0.0, 0.0) if len(one.reply) % 2 else Probs(0.0, 0.0, 1.0)) for one in asked]


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


@pytest.fixture
def make_trainer(tiny_tokenizer):
    """A maker of ordinary Trainers: the same model, data and seeds each time."""

    def maker(*, wrap=lambda model: model, callbacks=(), **settings):
        settings = {"max_steps": STEPS, "save_strategy": "no", "use_cpu": True, **settings}

        def make(ours, folder):
            rng = np.random.default_rng(0)
            rows = [{"input_ids": ids, "labels": ids} for ids in rng.integers(6, 262, (32, 16)).tolist()]
            arguments = TrainingArguments(
                output_dir=str(folder),
                per_device_train_batch_size=2,
                learning_rate=1e-2,
                logging_steps=1,
                report_to=[],
                disable_tqdm=True,
                **settings,
            )
            return Trainer(
                wrap(tiny_model(tiny_tokenizer, dropout=0.1)),
                arguments,
                train_dataset=rows,
                eval_dataset=rows[:4],
                data_collator=default_data_collator,
                processing_class=tiny_tokenizer,
                callbacks=[*ours, *[make_callback() for make_callback in callbacks]],
            )

        return make

    return maker


def with_lora(model):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(5)
    return get_peft_model(model, LoraConfig(r=2, lora_dropout=0.2, target_modules=["q_proj", "v_proj"]))


def with_frozen_part_in_eval_mode(model):
    model.model.layers[0].requires_grad_(False).eval()
    return model


class StopEarly(TrainerCallback):
    """Asks to stop in the middle."""

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == 2


def test_full_training_with_dropout(make_trainer, tmp_path):
    compare(make_trainer(), tmp_path)


@renamed
def test_lora_with_dropout(make_trainer, tmp_path):
    compare(make_trainer(wrap=with_lora), tmp_path)


@renamed
@pytest.mark.parametrize("kwargs", [{"use_reentrant": False}, {"use_reentrant": True}])
def test_gradient_checkpointing(make_trainer, tmp_path, kwargs):
    make = make_trainer(gradient_checkpointing=True, gradient_checkpointing_kwargs=kwargs)
    watched = compare(make, tmp_path)
    assert watched.model.model._gradient_checkpointing_func.keywords == kwargs


def test_gradient_accumulation(make_trainer, tmp_path):
    compare(make_trainer(gradient_accumulation_steps=3), tmp_path)


def test_bf16(make_trainer, tmp_path):
    compare(make_trainer(bf16=True), tmp_path)


def test_weights_in_bf16(make_trainer, tmp_path):
    compare(make_trainer(wrap=lambda model: model.to(torch.bfloat16)), tmp_path)


def test_submodule_kept_in_eval_mode(make_trainer, tmp_path):
    compare(make_trainer(wrap=with_frozen_part_in_eval_mode), tmp_path)


def test_evaluation_between_looks(make_trainer, tmp_path):
    compare(make_trainer(eval_strategy="steps", eval_steps=2), tmp_path)


def test_early_stop(make_trainer, tmp_path):
    watched = compare(make_trainer(callbacks=[StopEarly]), tmp_path)
    assert watched.state.global_step == 2


def test_resumed_training(make_trainer, tmp_path):
    make = make_trainer(save_strategy="steps", save_steps=2)
    compare(make, tmp_path)
    plain = make([], tmp_path / "plain")
    plain.train(resume_from_checkpoint=str(tmp_path / "plain" / "checkpoint-2"))
    callback = watcher(tmp_path)
    watched = make([callback], tmp_path / "watched")
    watched.train(resume_from_checkpoint=str(tmp_path / "watched" / "checkpoint-2"))
    assert_same(outcome(plain), outcome(watched))
    steps = [record.step for record in callback.monitor.store.records(superseded=True)]
    assert steps == [0, 1, 2, 3, 4, 3, 4]


@compiles
@pytest.mark.slow
def test_compiled_training_is_neither_changed_nor_recompiled(make_trainer, tmp_path):
    from torch._dynamo.utils import counters

    compiled = {}
    for name, callbacks in (("plain", []), ("watched", [watcher(tmp_path)])):
        torch._dynamo.reset()
        counters.clear()
        trainer = make_trainer(torch_compile=True, torch_compile_backend="aot_eager")(callbacks, tmp_path / name)
        trainer.train()
        compiled[name] = outcome(trainer), dict(counters["stats"])
    torch._dynamo.reset()
    assert_same(compiled["plain"], compiled["watched"])
    assert compiled["plain"][1]["unique_graphs"] > 0


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


@pytest.fixture
def make_dpo(tiny_tokenizer):
    """A maker of DPO; with an adapter, the reference model is the same model with its adapter disabled."""
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    def maker(*, adapter, **settings):
        def make(ours, folder):
            set_seed(0)  # of the adapter, which not every TRL seeds by itself
            return DPOTrainer(
                tiny_model(tiny_tokenizer, dropout=0.1),
                ref_model=None if adapter else tiny_model(tiny_tokenizer),
                args=DPOConfig(**trl_settings(folder, **settings)),
                train_dataset=preferences(),
                processing_class=tiny_tokenizer,
                peft_config=LoraConfig(r=2, target_modules=["q_proj"]) if adapter else None,
                callbacks=ours,
            )

        return make

    return maker


@renamed
@pytest.mark.parametrize("adapter", [False, True])
def test_dpo(make_dpo, tmp_path, adapter):
    compare(make_dpo(adapter=adapter), tmp_path)


@pytest.fixture
def make_sampling(tiny_tokenizer):
    """A maker of trainers that learn from replies of their own."""
    import trl

    def maker(kind, **settings):
        def make(ours, folder):
            sampled = {"num_generations": 2, "max_completion_length": 6, "beta": 0.0}
            return getattr(trl, f"{kind}Trainer")(
                tiny_model(tiny_tokenizer, dropout=0.1),
                reward_funcs=length_reward,
                args=getattr(trl, f"{kind}Config")(**trl_settings(folder, **sampled, **settings)),
                train_dataset=preferences().select_columns(["prompt"]),
                processing_class=tiny_tokenizer,
                callbacks=ours,
            )

        return make

    return maker


@renamed
@pytest.mark.parametrize("kind", ["GRPO", "RLOO"])
def test_training_that_samples(make_sampling, tmp_path, kind):
    """Its replies come from the global generator: any number drawn by a look would change what it learns from."""
    watched = compare(make_sampling(kind), tmp_path)
    assert len({line["reward"] for line in watched.state.log_history if "reward" in line}) > 1


def test_comparison_notices_a_callback_that_is_not_guarded(make_trainer, tmp_path):
    class Unguarded(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            torch.rand(1)

    plain = make_trainer()([], tmp_path / "plain")
    plain.train()
    disturbed = make_trainer(callbacks=[Unguarded])([], tmp_path / "disturbed")
    disturbed.train()
    with pytest.raises(AssertionError, match="weights"):
        assert_same(outcome(plain), outcome(disturbed))
