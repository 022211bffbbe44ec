"""Short trainings of a tiny model by an ordinary Trainer, and the callback that watches them."""

from transformers import Trainer, TrainingArguments

from driftwatch import DriftCallback, RunStore, Schedule
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_model, tiny_pack

TEXT = "I want more nature in the street. "


def callback(folder, **options):
    settings = {
        "schedule": Schedule(every_steps=2, early_dense=False, budget=None),
        "exporters": (),
        "run": "r1",
        "on_error": "raise",
        "probes": (StatementProbe(naysaying_items=1),),
    }
    return DriftCallback(tiny_pack(), output_dir=folder / "runs", **{**settings, **options})


def trainer(folder, tokenizer, callbacks, model=None, **options):
    settings = {
        "max_steps": 4,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-2,
        "report_to": [],
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    ids = tokenizer(TEXT)["input_ids"]
    return Trainer(
        model=model or tiny_model(tokenizer),
        args=TrainingArguments(str(folder / "out"), **{**settings, **options}),
        train_dataset=[{"input_ids": ids, "labels": ids}] * 16,
        processing_class=tokenizer,
        callbacks=callbacks,
    )


def store(folder, run="r1"):
    return RunStore(folder / "runs" / run)


def lora(model, **options):
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", **options))


def with_fresh_lora(tokenizer):
    return lora(tiny_model(tokenizer))
