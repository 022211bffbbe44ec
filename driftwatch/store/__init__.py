"""One folder for each run, which survives a kill at any byte. `RunStore` is the name that extensions rely on."""

from driftwatch.store.run_store import RunStore

__all__ = ["RunStore"]
