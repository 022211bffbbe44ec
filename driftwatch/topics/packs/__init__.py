"""The built-in packs as paths; an entry point of the group `driftwatch.packs` may name such a path, too."""

from pathlib import Path

_HERE = Path(__file__).parent

core = _HERE / "core"
quick = _HERE / "quick.yaml"
refusal = _HERE / "refusal.yaml"

# The packs that a plain source checkout offers by name, without entry points.
BUILT_IN: dict[str, Path] = {"core": core, "quick": quick, "refusal": refusal}
