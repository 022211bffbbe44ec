"""The callback that observations, with replies, before and after every step."""

from dataclasses import replace

from driftwatch import Confirmation, DriftCallback, Schedule
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.decoding import Decoding
from driftwatch.testing import ExactJudge, tiny_pack


def small_pack():
    topics = tuple(replace(topic, items=topic.items[:2]) for topic in tiny_pack().topics)
    return replace(tiny_pack(), topics=topics)


def watch(folder, **options):
    confirm = Confirmation(ExactJudge(), Decoding(max_new_tokens=2, batch_size=8), normal_draws=2, watched_draws=2)
    settings = {
        "probes": (StatementProbe(naysaying_items=0),),
        "confirm": confirm,
        "schedule": Schedule(every_steps=1, budget=None),
    }
    return DriftCallback(small_pack(), output_dir=folder / "runs", run="r", exporters=(), **{**settings, **options})
