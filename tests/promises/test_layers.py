"""The architecture as a test: who may import whom, and what may be imported at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools.architecture import ORDER, rooms_used

PACKAGE = Path(__file__).parents[2] / "driftwatch"
LAYERS = (*ORDER, "__main__")  # one layer a folder: a module imports from its own folder and from those before it
MOST_AT_THE_ROOT = 8
# What they need must be there without torch. Readers never import from the rooms that ask a model.
TORCH_FREE = set(LAYERS[: LAYERS.index("host")]) | {"record", "store", "exporters", "report", "service", "monitoring"}
READERS = {"record", "store", "report", "service", "monitoring"}
ASKING = {"host", "chat", "scoring", "judges", "replies", "probes", "watch", "callback"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def room_of(name):
    """The folder, or the module at the root, in which a module stands."""
    return name.split(".")[0]


def imports(path, *, top_level_only=False):
    """Everything that a module imports, behind TYPE_CHECKING and inside functions too."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are written out"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_from_its_room_and_those_before(path):
    room = room_of(name_of(path))
    assert room == "__init__" or room in LAYERS, f"{room} has no place; add it to LAYERS"
    for used in rooms_used(path):
        assert used in LAYERS, f"{name_of(path)} imports {used}, which has no place in LAYERS"
        assert LAYERS.index(used) <= LAYERS.index(room), f"{name_of(path)} imports {used}, which stands after {room}"


@pytest.mark.parametrize("path", [p for p in modules() if room_of(name_of(p)) in READERS], ids=name_of)
def test_readers_import_nothing_that_asks_a_model(path):
    assert not rooms_used(path) & ASKING


def test_few_modules_stand_at_the_root():
    root = [path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")]
    assert len(root) <= MOST_AT_THE_ROOT, root


@pytest.mark.parametrize("path", [p for p in modules() if room_of(name_of(p)) in TORCH_FREE], ids=name_of)
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
        "assert not {'torch', 'transformers', 'httpx', 'stamina'} & set(sys.modules)\n"
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
