"""A dry run: the run's own pipeline on a given model, writing into a folder that is thrown away."""

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from driftwatch.config import Config, monitor_arguments
from driftwatch.doctor.finding import Finding
from driftwatch.errors import BaselineError, DriftwatchError

GIB = 1 << 30


def graphics() -> Finding:
    """The finding on the GPU and its free memory."""
    import torch

    if not torch.cuda.is_available():
        return Finding("gpu", "skipped", "no CUDA device; observations run on the CPU")
    free, total = torch.cuda.mem_get_info()
    text = f"{torch.cuda.get_device_name()}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    return Finding("gpu", "ok", text)


def baseline(folder: Path, config: Config) -> Finding:
    """The finding on whether a stored baseline is whole and of this run's pack; more needs a model."""
    from driftwatch.topics import load_pack
    from driftwatch.watch.baselines import baseline_for

    fix = f"Make it again: driftwatch baseline MODEL{f' --config {config.file}' if config.file else ''} --out {folder}"
    try:
        found = baseline_for(load_pack(config.values.get("pack", "core")), folder)
    except DriftwatchError as err:
        return Finding("baseline", "problem", str(err), fix)
    return Finding("baseline", "ok", f"{folder}: {len(found.stances)} stances of {found.model}")


def dry_look(name: str, config: Config, given: Path | None, steps: int | None) -> Iterator[Finding]:
    """Begin a run with this model, and observe twice as a run would, at its start and at its end.

    Args:
        name: The model as for `driftwatch probe`: a folder, a hub id, or "smollm2".
        config: The run's settings.
        given: Folder of a baseline that replaces the one in the settings; `None` keeps that one.
        steps: Optimizer steps of the training; `None` if unknown.
    """
    from driftwatch.doctor.replies import decoding
    from driftwatch.doctor.template import template
    from driftwatch.host.load import load_model
    from driftwatch.watch.schedule import Schedule

    try:
        loaded = load_model(name)
        arguments = monitor_arguments(config)
    except DriftwatchError as err:
        yield Finding("model", "problem", str(err), "Name a causal language model, as training will load it.")
        return
    yield template(loaded.tokenizer, getattr(arguments.get("confirm"), "wrap", None))
    schedule = arguments.get("schedule") or Schedule()
    arguments |= {"exporters": (), "run": "doctor"} | ({"baseline": given} if given is not None else {})
    with tempfile.TemporaryDirectory(prefix="driftwatch-doctor-") as folder, _quietly():
        with suppress(DriftwatchError):  # the observation below fails in the same way and says why
            yield from decoding(loaded.model, loaded.tokenizer, arguments, steps=steps)
        yield from _looked(loaded.model, loaded.tokenizer, {**arguments, "output_dir": folder}, schedule)


def _looked(model: Any, tokenizer: Any, arguments: dict[str, Any], schedule: Any) -> Iterator[Finding]:
    from driftwatch.watch.monitor import Monitor
    from driftwatch.watch.schedule import Schedule

    monitor = Monitor(**{**arguments, "schedule": Schedule(budget=None)})
    memory = _Memory()
    began = time.monotonic()
    try:
        monitor.begin(model, tokenizer, planned_steps=1)
        first_seconds = time.monotonic() - began
        record = monitor.observe(model, 1, phase="end")
    except BaselineError as err:
        yield Finding(
            "baseline", "problem", str(err), "Make it again: driftwatch baseline MODEL --config FILE --out DIR."
        )
        return
    except DriftwatchError as err:
        yield Finding("look", "problem", str(err), "This model cannot be watched with these settings.")
        return
    finally:
        monitor.close("stopped")
    for failure in record.failures:
        yield Finding(
            "look", "problem", failure.reason, "Correct what the sentence names; every observation would fail so."
        )
    assert monitor.info is not None
    yield _time(sum(record.cost.seconds.values()), first_seconds, schedule)
    yield memory.finding(model)
    yield _resolution(monitor.info)
    if monitor.info.notes:  # notes that a reader of the run needs, for example that labels do not count
        yield Finding("baseline", "warning", "; ".join(monitor.info.notes))
    elif "sft" in monitor.info.baselines:
        yield Finding("baseline", "ok", "the SFT baseline can be compared with")


def _time(seconds: float, first: float, schedule: Any) -> Finding:
    text = f"an observation takes {seconds:.1f} s on this machine, the first one {first:.1f} s"
    if schedule.budget is None:
        return Finding("look", "ok", f"{text}; no budget limits them")
    every = seconds / schedule.budget
    text += f"; a budget of {100 * schedule.budget:g} % allows a whole one every {every / 60:.1f} min of training"
    return Finding("look", "ok", text)


def _resolution(info: Any) -> Finding:
    """The finding on how many value topics the model can be measured on at all."""
    values = [topic for topic in info.topics if not topic.control]
    lost = [topic.id for topic in values if topic.id in info.unresolved]
    if not lost:
        return Finding("resolution", "ok", f"all {len(values)} value topics can be measured on this model")
    text = f"{len(lost)} of {len(values)} value topics cannot be measured on this model: {', '.join(lost)}"
    fix = f"They are left out of alerts: {info.unresolved[lost[0]]}. See driftwatch probe MODEL --reliability."
    return Finding("resolution", "problem" if len(lost) == len(values) else "warning", text, fix)


class _Memory:
    """Measures the GPU memory that observations take beyond what was taken before."""

    def __init__(self) -> None:
        import torch

        self._on_gpu = torch.cuda.is_available()
        self._before = 0
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()

    def finding(self, model: Any) -> Finding:
        """The finding that compares that memory with the memory that is free beside the model."""
        import torch

        if not self._on_gpu:
            return Finding("memory", "skipped", "measured on CUDA devices only")
        from driftwatch.scoring.memory import model_bytes

        taken = torch.cuda.max_memory_allocated() - self._before
        # Memory that the allocator has reserved can be used again, so it counts as free.
        held = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        free = torch.cuda.mem_get_info()[0] + held
        text = (
            f"an observation takes {taken / GIB:.2f} GiB beside the model's {model_bytes(model) / GIB:.2f} GiB; "
            f"{free / GIB:.1f} GiB are free now, without optimizer and gradients"
        )
        if taken > free / 2:
            return Finding(
                "memory", "warning", text, "Leave room for observations, or give the probe fewer max_tokens."
            )
        return Finding("memory", "ok", text)


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the log lines of observations, since the findings say the same."""
    logger = logging.getLogger("driftwatch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
