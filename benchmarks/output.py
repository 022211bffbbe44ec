"""What every benchmark prints."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def say(text: str) -> None:
    """A line for the person who waits."""
    print(text, flush=True)


def emit(benchmark: str, result: dict[str, Any]) -> None:
    """The one JSON line: what was measured, then where."""
    print(json.dumps({"benchmark": benchmark, **result, "where": environment()}), flush=True)


def environment() -> dict[str, Any]:
    """Device, threads and versions."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
