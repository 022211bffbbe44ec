"""The shipped schema is the code's own, and says of a file what the reader says."""

import ast
import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from driftwatch.config import read_config
from driftwatch.config.resolved import VARIABLES
from driftwatch.config.schema import shipped
from tools.config_page import config_page
from tools.config_schema import schema_text

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


def constant(path, name):
    """The text that a name stands for in a module, its own or one that it takes from another module of ours."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=str() as text)) if target == name:
                return text
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                for target, value in zip(targets, values, strict=True):
                    if target.id == name:
                        return value.value
            case ast.ImportFrom(module=str() as module, names=names) if name in {n.name for n in names}:
                return constant(ROOT.joinpath(*module.split(".")).with_suffix(".py"), name)
    return None


def variables_read(path):
    """The environment variables that a module reads; where it does not say which, the place."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"), args=[name, *_]):
                pass
            case ast.Subscript(value=ast.Attribute(attr="environ"), slice=name):
                pass
            case ast.keyword(arg="envvar", value=name):
                pass
            case _:
                continue
        text = constant(path, name.id) if isinstance(name, ast.Name) else getattr(name, "value", None)
        yield text if isinstance(text, str) else f"{path.relative_to(ROOT)}: {ast.unparse(name)}"


def test_every_variable_that_the_code_reads_is_in_the_table_and_no_other():
    found = {name for path in (ROOT / "driftwatch").rglob("*.py") for name in variables_read(path)}
    named_by_a_setting = {"driftwatch/judges/chat_server.py: self.api_key_env"}
    assert found - named_by_a_setting == {variable.name for variable in VARIABLES}


def test_no_module_reads_the_environment_in_a_way_that_this_test_does_not_see():
    """Whole environments go to checks that look their variables up in the table, and to commands that are started."""
    whole = {"config/resolved.py", "cli/run.py"}
    for path in (ROOT / "driftwatch").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        uses = len(re.findall(r"\benviron\b(?!ment)|\bgetenv\b", text))
        seen = len(re.findall(r"os\.environ(?:\.get\(|\[)", text))
        if str(path.relative_to(ROOT / "driftwatch")) not in whole:
            assert uses == seen, path


def test_the_example_is_right_and_shows_only_real_keys():
    config, faults = read_config(ROOT / "examples" / "drift.yaml")
    assert faults == []
    jsonschema.validate(yaml.safe_load((ROOT / "examples" / "drift.yaml").read_text()), shipped())
    assert json.dumps(config.values)  # plain data throughout
