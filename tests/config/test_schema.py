"""The shipped schema is the code's own, and says of a file what the reader says."""

import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from driftwatch.config import read_config
from driftwatch.config.making import schema_text
from driftwatch.config.page import config_page
from driftwatch.config.resolved import VARIABLES
from driftwatch.config.schema import shipped

ROOT = Path(__file__).parents[2]


def test_the_shipped_schema_is_what_the_constructors_say():
    shipped_text = resources.files("driftwatch.config").joinpath("config.schema.json").read_text(encoding="utf-8")
    assert shipped_text == schema_text(), "run `make generate`"


def test_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(shipped())


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("pack: quick", True),
        ("confirm: null", True),
        ("confirm: {judge: {endpoint: {model: m}}}", True),
        ("exporters: [prometheus, {service: {timeout: 3}}]", True),
        ("schedule: {budget: null, at_steps: [1]}", True),
        ("alerting_baseline: null", True),
        ("service: {port: 0, allow_host: [a]}", True),
        ("tolerance: 0.1", True),
        ("tolerance: {default: 0.05, immigration: 0.1}", True),
        ("tolerance: {immigration: much}", False),
        ("tolerance: much", False),
        ("tolerated: 1", False),
        ("schedule: {every_steps: 1.5}", False),
        ("exporters: [{service: {token: a}}]", False),
        ("exporters: [{prometheus: {}, service: {}}]", False),
        ("confirm: {judge: {endpoint: {}}}", False),
        ("confirm: {wrap: {turns: [[a]]}}", False),
        ("on_error: stop", False),
    ],
)
def test_schema_and_reader_agree(tmp_path, text, is_right):
    path = tmp_path / "drift.yaml"
    path.write_text(text)
    assert jsonschema.Draft7Validator(shipped()).is_valid(yaml.safe_load(text)) == is_right
    assert (not read_config(path)[1]) == is_right


def test_every_key_is_explained():
    schema = shipped()
    sections = [schema, schema["properties"]["service"], *schema["definitions"].values()]
    for named in ("probes", "judges", "exporters", "actions"):
        sections += schema["definitions"][named]["anyOf"][1]["properties"].values()
    silent = [name for s in sections for name, key in s.get("properties", {}).items() if not key.get("description")]
    assert silent == []


def test_the_page_has_every_key_and_every_variable():
    page = config_page()
    for name in shipped()["properties"]:
        assert f"| `{name}` |" in page
    for name in shipped()["definitions"]["confirmation"]["properties"]:
        assert f"| `confirm.{name}` |" in page
    assert all(f"| `{variable.name}` |" in page for variable in VARIABLES)


def test_every_variable_that_the_code_reads_is_in_the_table():
    internal = {"DRIFTWATCH_RUN_NOTES"}  # how `driftwatch run` hears from its command
    found = set()
    for path in (ROOT / "driftwatch").rglob("*.py"):
        found |= set(re.findall(r"\"(DRIFTWATCH_[A-Z_]+)\"", path.read_text(encoding="utf-8")))
    assert found - internal == {variable.name for variable in VARIABLES}


def test_the_example_is_right_and_shows_only_real_keys():
    config, faults = read_config(ROOT / "examples" / "drift.yaml")
    assert faults == []
    jsonschema.validate(yaml.safe_load((ROOT / "examples" / "drift.yaml").read_text()), shipped())
    assert json.dumps(config.values)  # plain data throughout
