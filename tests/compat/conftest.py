"""Results of real runs, one JSON line a row, for the table that `make compat` prints."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from compat.environment import versions


@pytest.fixture
def keep():
    """Appends a row to the file that DRIFTWATCH_COMPAT names, if it does."""

    def keep(recipe, found):
        path = os.environ.get("DRIFTWATCH_COMPAT")
        if path:
            about = {"trainer": recipe.trainer, "settings": recipe.shown_settings}
            about |= {"family": recipe.family.name, "weights": recipe.weights}
            line = json.dumps({**about, **found, "versions": versions()})
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    return lambda recipe, found: keep(recipe, found if isinstance(found, dict) else asdict(found))
