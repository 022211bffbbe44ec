"""Makes docs/configuration.md from the schema and the table of environment variables."""

import json
from collections.abc import Iterator

from driftwatch.config.resolved import VARIABLES
from driftwatch.config.schema import resolved
from driftwatch.documents import limits
from driftwatch.documents.annotations import Schema
from tools.config_schema import made_schema

_HEAD = """\
# Settings

Generated from the annotations of the settings themselves; `make generate` rewrites it.

One YAML file says what a run does: `driftwatch run --config drift.yaml -- …`, `driftwatch doctor --config drift.yaml`,
`driftwatch serve --config drift.yaml` and your own code read the same.

```python
from driftwatch.config import load_config, make_callback, monitor_arguments

trainer = DPOTrainer(..., callbacks=[make_callback(load_config("drift.yaml"))])
monitor = Monitor(**monitor_arguments(load_config("drift.yaml")))  # for a loop of your own
```

Its keys are the parameters of `DriftCallback`, under the same names and with the same defaults; what is left out keeps
its default. [examples/drift.yaml](../examples/drift.yaml) is a whole file. `driftwatch config check FILE` says what is
wrong, with lines; `driftwatch config show FILE` prints every setting with where it comes from.
[launcher.md](launcher.md) shows `driftwatch run` and `driftwatch doctor`.

Paths count from the file's own folder. Probes, judges, exporters and actions are named, or named with options:

```yaml
exporters:
  - prometheus: { port: 9470 }
  - service
```

For an editor that completes and checks, put this into the first line; the schema ships with the package as
`driftwatch/config/config.schema.json`:

```yaml
# yaml-language-server: $schema=config.schema.json
```

Plain YAML only: no aliases, no tags, each key once, at most 1 MB.

## Keys
"""

_ENVIRONMENT = """\
## Environment

What an operator changes without touching the file. Secrets stand here and never in the file; `config show` hides them.

| variable | setting | meaning |
|---|---|---|
"""

_LEAST = """\

Judges read the key of their server from the variable that `api_key_env` names. What the file says wins over
`DRIFTWATCH_SERVICE` and `--config` over `DRIFTWATCH_CONFIG`; the other variables win over the file.
"""


def config_page() -> str:
    """The page in Markdown; every key of the schema has a row."""
    page = _Page(made_schema())
    variables = [f"| `{v.name}` | {f'`{v.setting}`' if v.setting else '–'} | {_cell(v.text)} |" for v in VARIABLES]
    return "\n".join([*page.parts(), _ENVIRONMENT + "\n".join(variables), _LEAST])


class _Page:
    def __init__(self, root: Schema) -> None:
        self._root = root

    def parts(self) -> Iterator[str]:
        yield _HEAD
        yield _table(self._rows("", self._root))
        for kind in ("probes", "judges", "exporters", "actions"):
            yield f"## {kind.title()}\n"
            for name, options in self._root["definitions"][kind]["anyOf"][1]["properties"].items():
                yield f"### `{name}`\n"
                yield _table(self._rows("", options)) if options["properties"] else "No options.\n"

    def _rows(self, before: str, section: Schema) -> Iterator[str]:
        for name, given in section["properties"].items():
            schema = self._resolved(given)
            key = f"{before}{name}"
            default = f"`{json.dumps(given['default'], ensure_ascii=False)}`" if "default" in given else "–"
            if name in section.get("required", ()):
                default = "required"
            yield f"| `{key}` | {self._type(given)} | {default} | {_cell(schema.get('description', ''))} |"
            if (inner := self._section(schema)) is not None:
                yield from self._rows(f"{key}.", inner)

    def _section(self, schema: Schema) -> Schema | None:
        alternatives = [] if "x-kind" in schema else map(self._resolved, schema.get("anyOf", [schema]))
        return next((alternative for alternative in alternatives if alternative.get("properties")), None)

    def _type(self, given: Schema) -> str:
        schema = self._resolved(given)
        if kind := schema.get("x-kind"):
            return f"one of the [{kind}](#{kind})"
        if "enum" in schema:
            return ", ".join(f"`{'null' if word is None else word}`" for word in schema["enum"])
        if "anyOf" in schema:
            return " or ".join(self._type(alternative) for alternative in schema["anyOf"])
        types = schema.get("type", "object")
        return " or ".join(self._word(schema, kind) for kind in ([types] if isinstance(types, str) else types))

    def _word(self, schema: Schema, kind: str) -> str:
        if kind == "array":
            of = self._resolved(schema["items"])
            return f"list of [{of['x-kind']}](#{of['x-kind']})" if "x-kind" in of else f"list of {self._type(of)}"
        if kind == "string" and schema.get("format") == "path":
            return "path"
        if kind in ("integer", "number") and any(word in schema for word in ("minimum", "exclusiveMinimum")):
            return limits.bounded(schema, kind).removeprefix("a ")
        words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false"}
        return {**words, "null": "`null`", "object": "section" if "properties" in schema else "mapping"}[kind]

    def _resolved(self, schema: Schema) -> Schema:
        return resolved(schema, self._root)


def _table(rows: Iterator[str]) -> str:
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
