"""Timing of one piece of work."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class Timed(NamedTuple):
    """A result and what it took.

    Attributes:
        result: What the work returned.
        wall: Seconds on the clock.
        cpu: Seconds of this process on all of its cores: less moved by what else the machine does.
    """

    result: Any
    wall: float
    cpu: float


def timed(work: Callable[[], Any]) -> Timed:
    """Runs some work, the accelerator's queue included."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Timed(result, time.perf_counter() - wall, time.process_time() - cpu)
