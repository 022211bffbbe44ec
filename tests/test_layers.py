"""The architecture as a test: who may import whom, and what may be imported at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "driftwatch"
# From the vocabulary up; a module imports from its own layer and those before it.
LAYERS = (
    ("errors", "plugins", "schedule", "stance", "life", "copying", "topics", "judges.judge", "__init__"),
    ("drift",),
    ("record", "metrics", "samples", "alerts", "fault", "decision"),
    ("store", "writer", "folder", "exporters", "delivery"),
    ("mixin", "report", "service", "grafana", "stack"),
    (
        "averaging",
        "weights",
        "guard",
        "module_state",
        "reference",
        "identity",
        "probes",
        "judges",
        "testing",
        "demo.model",
    ),
    (
        "asking",
        "baselines",
        "labelling",
        "budget",
        "wall_time",
        "pool",
        "start_weights",
        "supply",
        "pairs",
        "confirmation",
        "confirm",
        "arguments",
        "observation",
        "keeping",
        "late_start",
        "replies",
        "opening",
        "branching",
        "last_weights",
        "resuming",
        "monitor",
        "actions",
        "afterwards",
        "trainers",
        "callback",
        "config",
        "demo",
        "rehearsal",
    ),
    ("cli", "generate", "compat", "templates", "launch", "doctor", "config.making", "config.page", "__main__"),
)
# Named for what they are allowed to need; everything below the model side runs without torch.
TORCH_FREE = {"errors", "plugins", "schedule", "stance", "topics", "drift", "record", "metrics", "samples", "alerts"}
TORCH_FREE |= {"life", "copying", "writer", "fault", "decision"}
TORCH_FREE |= {"store", "folder", "exporters", "delivery", "mixin", "report", "service", "grafana", "stack"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def layer_of(name):
    """The layer of the longest entry that names the module or a package around it."""
    matches = [
        (len(entry), number)
        for number, layer in enumerate(LAYERS)
        for entry in layer
        if name == entry or name.startswith(f"{entry}.")
    ]
    return max(matches)[1] if matches else None


def imports(path, *, top_level_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_from_its_layer_and_those_before(path):
    own = layer_of(name_of(path))
    assert own is not None, f"{name_of(path)} belongs to no layer; add it to LAYERS"
    for imported in imports(path):
        if imported.startswith("driftwatch."):
            theirs = layer_of(imported.removeprefix("driftwatch."))
            assert theirs is None or theirs <= own, f"{name_of(path)} imports {imported}, which is above it"


@pytest.mark.parametrize("path", [p for p in modules() if name_of(p).split(".")[0] in TORCH_FREE], ids=name_of)
def test_readers_never_need_torch(path):
    heavy = {"torch", "transformers", "trl", "peft", "accelerate"}
    assert not heavy & {imported.split(".")[0] for imported in imports(path, top_level_only=True)}


@pytest.mark.parametrize("arguments", [["--help"], ["runs", "list", "."], ["--version"]])
def test_reading_commands_leave_torch_unloaded(arguments, tmp_path):
    code = (
        "import sys\n"
        f"sys.argv = ['driftwatch', *{arguments!r}]\n"
        "from driftwatch.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_exist_and_are_sorted():
    import driftwatch

    assert list(driftwatch._HOMES) == sorted(driftwatch._HOMES)
    for name in driftwatch.__all__:
        assert getattr(driftwatch, name) is not None


def test_an_unknown_public_name_says_which_there_are():
    import driftwatch

    with pytest.raises(AttributeError, match="public names: Confirmation"):
        driftwatch.Driftcallback  # noqa: B018 - the access is the point
