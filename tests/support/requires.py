"""Tools that a test needs: skipped where they are missing, failed where DRIFTWATCH_REQUIRE promised them."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def tool(*names):
    """The path of the first of these programs that is installed; otherwise the test is skipped, or fails in CI.

    DRIFTWATCH_REQUIRE is a list of programs with commas; naming one of them turns the skip into a failure.
    """
    # Tools from packages lie beside the interpreter, whose folder need not be on PATH.
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = next((path for name in names if (path := shutil.which(name, path=places))), None)
    if found is None:
        promised = os.environ.get("DRIFTWATCH_REQUIRE", "").replace(" ", "").split(",")
        if any(name in promised for name in names):
            pytest.fail(f"DRIFTWATCH_REQUIRE promises {' or '.join(names)}, which is not installed")
        pytest.skip(f"needs {' or '.join(names)}")
    return found


def spec(name):
    """A published schema below DRIFTWATCH_SPECS, which stays outside the repository for its licence."""
    folder = os.environ.get("DRIFTWATCH_SPECS")
    if not folder:
        pytest.skip(f"needs {name} in the folder that DRIFTWATCH_SPECS names")
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        pytest.fail(f"DRIFTWATCH_SPECS names {folder}, which has no {name}")
    return path
