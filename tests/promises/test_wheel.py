"""The wheel without extras in an empty environment: a recorded run is read, reported and served, without torch."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest
from support.servers import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "data" / "recorded-run"
HEAVY = (
    "import importlib.util as u, sys; sys.exit(any(u.find_spec(n) for n in ('torch', 'transformers', 'trl', 'peft')))"
)


def bare():
    """The environment without what leads to this checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # From a copy: what an earlier build has left in a checkout would be packed again.
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "driftwatch", source / "driftwatch", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True, timeout=600)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of programs of an environment with nothing but the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    command = [programs / "python", "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run(command, check=True, timeout=600, env=bare(), cwd=folder)
    return programs


@pytest.fixture
def runs(tmp_path):
    """A folder of runs with the recorded one in it."""
    place = tmp_path / "runs" / "recorded"
    place.mkdir(parents=True)
    for path in RECORDED.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return place.parent


def run(installed, *arguments, cwd):
    return subprocess.run(
        [installed / "driftwatch", *arguments],
        cwd=cwd,
        env=bare(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_wheel_holds_the_package_and_nothing_that_only_a_checkout_needs(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"driftwatch"}
    assert {"driftwatch/py.typed", "driftwatch/config/config.schema.json"} <= set(names)


def test_the_environment_has_no_torch(installed, tmp_path):
    assert subprocess.run([installed / "python", "-c", HEAVY], cwd=tmp_path, env=bare(), check=False).returncode == 0


def test_a_recorded_run_is_listed_shown_and_reported(installed, runs, tmp_path):
    listed = run(installed, "runs", "list", str(runs), "--json", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert len(json.loads(listed.stdout)) == 1
    shown = run(installed, "runs", "show", str(runs / "recorded"), cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    reported = run(installed, "report", str(runs / "recorded"), "--out", "report.html", cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_recorded_run_is_served(installed, runs, tmp_path):
    port = free_port()
    process = subprocess.Popen(
        [installed / "driftwatch", "serve", str(runs), "--port", str(port)],
        cwd=tmp_path,
        env=bare(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in process.stdout:
            if str(port) in line:
                break
        page, script, api, _ = (
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).read().decode()
            for path in ("/", "/static/vendor/uPlot.min.js", "/api/v1/runs", "/metrics")
            # the last one has no figure of a run that ended long ago
        )
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert "<html" in page
    assert "uPlot" in script
    assert [one["run"] for one in json.loads(api)["runs"]] == ["recorded"]
