"""driftwatch: which SFT-established values move during post-training, and how sure that is.

Names are loaded on first use: the callback pulls in torch, reading a report must not.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Confirmation": "driftwatch.replies.confirmation",
    "DriftCallback": "driftwatch.callback",
    "Item": "driftwatch.topics",
    "Monitor": "driftwatch.watch.monitor",
    "Record": "driftwatch.record.record",
    "RunStore": "driftwatch.store.run_store",
    "Schedule": "driftwatch.watch.schedule",
    "Stance": "driftwatch.stance",
    "Topic": "driftwatch.topics",
    "TopicPack": "driftwatch.topics",
    "load_pack": "driftwatch.topics",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'driftwatch' has no attribute {name!r}; public names: {', '.join(_HOMES)}")


def __dir__() -> list[str]:
    return sorted(__all__)
