"""Trainings of a few steps whose observations take a moment, for tests of what happens around the observations."""

import dataclasses

from transformers import Trainer, TrainingArguments, set_seed

from driftwatch import Confirmation, DriftCallback, Schedule
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.decoding import Decoding
from driftwatch.testing import ExactJudge, tiny_model, tiny_pack

TEXT = "I want more nature in the street. "


def small_pack():
    """A value topic and a control of two items each, so that an observation takes a moment."""
    pack = tiny_pack()
    topics = tuple(dataclasses.replace(pack.topics[number], items=pack.topics[number].items[:2]) for number in (0, 2))
    return dataclasses.replace(pack, topics=topics)


def callback(folder, **options):
    settings = {
        "schedule": Schedule(every_steps=1, early_dense=False, budget=None),
        "exporters": (),
        "run": "r1",
        "probes": (StatementProbe(naysaying_items=0),),
    }
    return DriftCallback(small_pack(), output_dir=folder / "runs", **{**settings, **options})


def trainer(folder, tokenizer, callbacks, model=None, eval_dataset=None, **options):
    set_seed(0)
    settings = {"max_steps": 3, "per_device_train_batch_size": 2, "report_to": [], "use_cpu": True}
    settings |= {"save_strategy": "no", "disable_tqdm": True}
    ids = tokenizer(TEXT)["input_ids"]
    return Trainer(
        model=model or tiny_model(tokenizer),
        args=TrainingArguments(str(folder / "out"), **{**settings, **options}),
        train_dataset=[{"input_ids": ids, "labels": ids}] * 16,
        eval_dataset=eval_dataset,
        processing_class=tokenizer,
        callbacks=callbacks,
    )


def replies():
    return Confirmation(ExactJudge(), Decoding(max_new_tokens=2), normal_draws=2, watched_draws=2)
