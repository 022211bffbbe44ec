"""A pytest plugin that keeps how a whole suite ended, for the page: `-p compat.suite`, with DRIFTWATCH_SUITE=file."""

import json
import os
from pathlib import Path

from compat.environment import versions


def pytest_terminal_summary(terminalreporter):
    """Counts by outcome, and the versions."""
    counts = {name: len(terminalreporter.stats.get(name, ())) for name in ("passed", "failed", "error", "skipped")}
    path = os.environ.get("DRIFTWATCH_SUITE")
    if path:
        Path(path).write_text(json.dumps({**counts, "versions": versions()}) + "\n", encoding="utf-8")
