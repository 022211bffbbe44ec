"""`driftwatch probe` and `driftwatch baseline` on a tiny model from disk."""

import json

import pytest
from click.testing import CliRunner
from support.builders import PARKS

from driftwatch.cli.baseline import command as baseline
from driftwatch.cli.probe import command as probe
from driftwatch.errors import ConfigError


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_folder


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "pack.yaml"
    items = (
        f"      - id: p{n}\n        sides: [I want more trees in the {place}., Our {place} needs new houses.]\n"
        for n, place in enumerate(("street", "valley", "harbour", "town", "school"))
    )
    path.write_text(PARKS + "".join(items))
    return str(path)


def run(command, *arguments):
    done = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_probe_prints_shares_of_every_topic(model, pack):
    assert "parks" in run(probe, model, "--pack", pack)


def test_probe_tells_whether_the_instrument_works(model, pack):
    text = run(probe, model, "--pack", pack, "--reliability")
    assert "order consistency" in text
    assert "not measured" in text, "no replies were asked"
    assert "left out of alerts:" in text


def test_probe_gives_json_and_the_same_twice(model, pack):
    first, second = (json.loads(run(probe, model, "--pack", pack, "--json")) for _ in range(2))
    assert first == second
    assert first["topics"][0]["num_items"] == 5
    assert first["reliability"][0]["frame_consistency"] is not None


def test_baseline_keeps_stances_identity_and_reliability(model, pack, tmp_path):
    run(baseline, model, "--pack", pack, "--out", str(tmp_path / "sft"))
    kept = json.loads((tmp_path / "sft/baseline.json").read_text())
    assert len(kept["stances"]) == 5
    assert {"pack", "weights", "dtype", "attention", "statement/template"} <= set(kept["identity"])
    assert (tmp_path / "sft/reliability.json").is_file()


def test_a_folder_without_a_model_says_what_was_expected(tmp_path, pack):
    with pytest.raises(ConfigError, match=r"expected a model in the folder"):
        CliRunner().invoke(probe, [str(tmp_path), "--pack", pack], catch_exceptions=False)
