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
    """Runs some work: what the accelerator was given by it counts, what it was given before does not."""
    idle()
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    idle()
    return Timed(result, time.perf_counter() - wall, time.process_time() - cpu)


def idle() -> None:
    """Returns once the accelerator, if there is one, has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
