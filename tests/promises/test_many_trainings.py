"""Thirty trainings in one process: threads, descriptors and what driftwatch keeps in memory stay what they were."""

import functools
import gc
import os
import sys
import threading
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from support.small_trainings import callback, replies, trainer

import driftwatch
from driftwatch.testing import tiny_model, tiny_tokenizer

PACKAGE = str(Path(driftwatch.__file__).parent)
SETTLED, ALL = 5, 30  # trainings after which is counted
# Bytes that may come between; one record alone has more. What trainings of one process have left is remembered, by a
# checksum and a sentence each, and strings that caches of others hold are counted to the line that made them.
GROWTH = 2000 * (ALL - SETTLED)


class Held(NamedTuple):
    """What this process has after so many trainings.

    Attributes:
        threads: Their names.
        descriptors: Number of them that are open.
        objects: Of driftwatch's classes, by class.
        size: Bytes allocated by lines of driftwatch and still in use.
    """

    threads: list[str]
    descriptors: int
    objects: Counter
    size: int


def held():
    gc.collect()
    for one in gc.get_objects():  # those have a limit of their own
        if type(one) is functools._lru_cache_wrapper and one.__module__.startswith("driftwatch."):
            one.cache_clear()
    classes = ((str(type(one).__module__), type(one).__name__) for one in gc.get_objects())
    traced = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, f"{PACKAGE}/*")])
    return Held(
        sorted(thread.name for thread in threading.enumerate()),
        len(os.listdir("/proc/self/fd")),
        Counter(f"{module}.{name}" for module, name in classes if module.startswith("driftwatch.")),
        sum(trace.size for trace in traced.traces),
    )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
@pytest.mark.parametrize("kept", [True, False], ids=["one callback", "a callback each"])
def test_thirty_trainings_in_one_process_leave_what_five_have_left(tmp_path, monkeypatch, kept):
    monkeypatch.setenv("DRIFTWATCH_PORT", "0")
    tokenizer = tiny_tokenizer()
    settings = {"confirm": replies(), "exporters": ("prometheus",), "actions": ("save",), "run": None}
    watch = callback(tmp_path, **settings)
    found = {}
    tracemalloc.start()
    try:
        for number in range(1, ALL + 1):
            one = watch if kept else callback(tmp_path, **settings)
            trainer(tmp_path, tokenizer, [one], model=tiny_model(tokenizer, seed=number), max_steps=2).train()
            del one
            if number in (SETTLED, ALL):
                found[number] = held()
    finally:
        tracemalloc.stop()
    before, after = found[SETTLED], found[ALL]
    assert len(list((tmp_path / "runs").glob("*/run.json"))) == ALL
    assert after.threads == before.threads
    assert after.descriptors == before.descriptors
    assert after.objects - before.objects == Counter()
    assert after.size <= before.size + GROWTH
