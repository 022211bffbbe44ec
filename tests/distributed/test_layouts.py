"""Every layout of training over two and three ranks, in every kind of trouble; `DRIFTWATCH_RANKS=FILE` keeps the table.

Nightly: minutes for each number of ranks. What DeepSpeed does is run where it is installed.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from driftwatch import RunStore
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer
from driftwatch.watch.monitor import Monitor

pytestmark = pytest.mark.nightly

sys.path.insert(0, str(Path(__file__).parent))  # what the ranks run, for the names of the layouts
from conftest import run_on_ranks, started  # noqa: E402
from layouts import LAYOUTS  # noqa: E402

WHOLE = [[0, False], [1, False], [2, False], [3, False]]
FAILED = [[0, False], [1, False], [2, True], [3, False]]
# Nats a token by which figures may differ from those of one process: bfloat16 has 8 bits.
TOLERANCES = {"FSDP2, bfloat16": 0.1}
ENVIRONMENT = {"DS_ACCELERATOR": "cpu"} if find_spec("deepspeed") is not None else {}


@pytest.fixture(scope="session", params=[2, 3])
def trained(request, tmp_path_factory):
    """What each rank has of every layout, and the folder."""
    folder = tmp_path_factory.mktemp(f"layouts-{request.param}")
    found = run_on_ranks(folder, ("layouts",), num_ranks=request.param, timeout=1800, **ENVIRONMENT)
    return request.param, folder / "layouts", found["layouts"]


def scores(store, look):
    stances = next(found.stances for found in store.look_stances() if found.look == look)
    return np.array([stance.scores_by_order for stance in stances], float)


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """The first observation of one process."""
    folder = tmp_path_factory.mktemp("alone")
    topics = tuple(replace(topic, items=topic.items[:2]) for topic in tiny_pack())
    monitor = Monitor(
        replace(tiny_pack(), topics=topics),
        probes=(StatementProbe(naysaying_items=0),),
        run="alone",
        output_dir=folder,
        exporters=(),
    )
    monitor.begin(tiny_model(tiny_tokenizer()).train(), tiny_tokenizer())
    monitor.close("finished")
    return scores(monitor.store, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_measured_as_one_process_is_and_trains_the_same_whatever_happens_to_a_rank(trained, alone, layout):
    num_ranks, folder, outcomes = trained
    found = [outcome[layout] for outcome in outcomes]
    errors = [outcome["error"] for outcome in found if "error" in outcome]
    why = {"killed": killed_otherwise(folder, layout, num_ranks)}  # by what is asked, what is wrong with it
    if not errors:
        store = RunStore(folder / str(list(LAYOUTS).index(layout)) / "watched" / "watched")
        largest, allowed = float(np.abs(scores(store, 0) - alone).max()), TOLERANCES.get(layout, 1e-4)
        why |= {
            "identical": otherwise(found, "watched", WHOLE),
            "figures": "" if largest <= allowed else f"they differ by up to {largest:.2g} nats per token",
            "raises": otherwise(found, "raises", FAILED),
            "slow": otherwise(found, "slow", FAILED),
            "disk": otherwise(found, "full disk"),
        }
    reasons = [*(f"{name}: {reason}" for name, reason in why.items() if reason), *(last_line(e) for e in errors[:1])]
    keep({"layout": layout, "ranks": num_ranks, **{name: not reason for name, reason in why.items()}}, reasons)
    assert not errors, errors[0]
    assert not reasons


def otherwise(found, case, looks=None):
    """How a case has ended other than it should; empty where all is well."""
    changed = [rank for rank, outcome in enumerate(found) if outcome[case] != outcome["plain"]]
    if changed:
        return f"the weights of ranks {changed} are others than without driftwatch"
    seen = next(
        (o[f"{case}, observations"] for o in found if looks is not None and o[f"{case}, observations"] != looks), None
    )
    return "" if seen is None else f"expected the observations {looks} (step, whether it failed), found {seen}"


def last_line(text):
    return text.strip().splitlines()[-1]


def killed_otherwise(folder, layout, num_ranks):
    """How a training in which one rank is killed ends other than without driftwatch; empty where it does not."""
    codes = []
    for is_watched in ("1", "0"):
        own = folder.parent / f"killed-{list(LAYOUTS).index(layout)}-{is_watched}"
        own.mkdir()
        environment = {"DRIFTWATCH_TEST_LAYOUT": layout, "DRIFTWATCH_TEST_WATCHED": is_watched, **ENVIRONMENT}
        found, _ = started(own, ("killed",), num_ranks=num_ranks, timeout=240, **environment)
        codes.append([code if code <= 0 else 1 for code in found])
    assert codes[0][1] == -signal.SIGTERM
    return "" if codes[0] == codes[1] else f"exit codes {codes[0]}, without driftwatch {codes[1]}"


def keep(row, reasons):
    """One line of the table, where somebody wants it."""
    if path := os.environ.get("DRIFTWATCH_RANKS"):
        packages = ["torch", "transformers", "peft", *(["deepspeed"] if "ZeRO" in row["layout"] else [])]
        with open(path, "a") as file:
            file.write(
                json.dumps(row | {"why": "; ".join(reasons), "versions": {name: version(name) for name in packages}})
                + "\n"
            )


def test_a_run_goes_on_on_another_number_of_ranks(tmp_path):
    """Two ranks begin it and three go on: one run, each step looked at once."""
    for number, steps in ((2, 2), (3, 4)):
        environment = {"DRIFTWATCH_TEST_STEPS": str(steps), "DRIFTWATCH_TEST_FOLDER": str(tmp_path)}
        own = tmp_path / f"ranks-{number}"
        own.mkdir()
        found = run_on_ranks(own, ("another_world",), num_ranks=number, timeout=300, **environment)
        assert [outcome["step"] for outcome in found["another_world"]] == [steps] * number
    store = RunStore(tmp_path / "runs" / "watched")
    assert [record.step for record in store.records()] == [0, 1, 2, 3, 4]
    assert not any(record.failures for record in store.records())
