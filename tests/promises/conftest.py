"""Makers of trainings that are the same each time: model, data and seeds."""

import numpy as np
import pytest
from support.invariance import STEPS, length_reward, preferences, trl_settings
from transformers import Trainer, TrainingArguments, default_data_collator, set_seed

from driftwatch.testing import tiny_model


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
