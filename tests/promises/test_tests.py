"""Where tests stand, and what they may take from one another."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "driftwatch"
# Folders that mirror none of the package: promises, whole environments, other folders of the project, what tests use.
OTHERS = {"promises", "contract", "distributed", "compat", "browser", "benchmarks", "tools", "support", "data"}
# An import as a line of a string, which is code for another process.
LINE = re.compile(r"^\s*(?:from\s+(?:\w+\.)*test_\w+\s+import|import\s+(?:\w+\.)*test_\w+)", re.MULTILINE)


def folders(root):
    """The folders below one that hold Python modules, as paths from there."""
    return {path.parent.relative_to(root) for path in root.rglob("*.py")} - {Path()}


def taken_from_tests(source):
    """Imports of test modules by statements, and by lines of strings."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += LINE.findall(node.value)
        found += [name for name in names if any(part.startswith("test_") for part in name.split("."))]
    return found


def test_no_module_takes_anything_from_a_test_module():
    found = {str(path.relative_to(TESTS)): taken_from_tests(path.read_text("utf-8")) for path in TESTS.rglob("*.py")}
    assert {path: imports for path, imports in found.items() if imports} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from {} import helper",
        "import {} as other",
        "def f():\n    from host import {}",
        "from host.{} import helper",
        "CODE = '''\nimport sys\nfrom {} import helper\n'''",
    ],
)
def test_such_an_import_is_seen_wherever_it_stands(source):
    assert taken_from_tests(source.format("test_other"))


def test_a_folder_of_tests_has_the_path_of_what_it_tests():
    assert {folder for folder in folders(TESTS) if folder.parts[0] not in OTHERS} <= folders(PACKAGE)


def test_every_room_of_the_package_has_tests():
    rooms = {folder.parts[0] for folder in folders(PACKAGE)}
    assert rooms <= {path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
