"""One folder for each run, which survives a kill at any byte. Extensions rely on the name `RunStore`."""

from driftwatch.store.run_store import RunStore

__all__ = ["RunStore"]
