"""Every setting with its value and its source, for `driftwatch config show`; secrets never appear."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from driftwatch.config.reading import Config, Key
from driftwatch.config.schema import resolved, shipped
from driftwatch.documents.annotations import Schema
from driftwatch.errors import ConfigError

DEFAULT = "default"
HIDDEN = "(hidden)"
_SECRET = re.compile(r"(?i)(^|_)(token|secret|password|passwd|api_?key|credentials?)$")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


class Variable(NamedTuple):
    """An environment variable that driftwatch reads.

    Attributes:
        setting: The key that it sets, as `config show` writes it; "" for none.
        wins: Whether it overrides the file; otherwise it is used only where the file leaves the key out.
        is_secret: Whether only "set" or "not set" is shown.
    """

    name: str
    setting: str
    wins: bool
    is_secret: bool
    text: str


VARIABLES = (
    Variable("DRIFTWATCH_ADDRESS", "exporters.prometheus.address", True, False, "Where a run's endpoint listens."),
    Variable("DRIFTWATCH_PORT", "exporters.prometheus.port", True, False, "Its port; 0 takes a free one."),
    Variable("DRIFTWATCH_SERVICE", "exporters.service.url", False, False, "The service that runs are pushed to."),
    Variable("DRIFTWATCH_WEBHOOK", "", True, True, "Where the exporter “webhook” sends alerts."),
    Variable("DRIFTWATCH_TOKEN", "", True, True, "The service's token, for those who push and those who serve."),
    Variable("DRIFTWATCH_DISABLED", "", True, False, "1 turns all observations off, also in `driftwatch run`."),
    Variable("DRIFTWATCH_CONFIG", "", False, False, "The settings file, where no --config names one."),
    Variable(
        "DRIFTWATCH_RUN_NOTES", "", True, False, "Set by `driftwatch run`: where its command tells what it watches."
    ),
    Variable("GRAFANA_URL", "", False, False, "`driftwatch grafana`: where Grafana is, as --url."),
    Variable("GRAFANA_ORG_ID", "", False, False, "`driftwatch grafana`: the organization, as --organization."),
    Variable("GRAFANA_TOKEN", "", True, True, "`driftwatch grafana`: a service account's token."),
    Variable("GRAFANA_USER", "", True, False, "`driftwatch grafana`: who signs in, where there is no token."),
    Variable("GRAFANA_PASSWORD", "", True, True, "`driftwatch grafana`: that user's password."),
    Variable("TENSORBOARD_LOGGING_DIR", "", True, False, "Where TensorBoard's files are, for the exporter “trackers”."),
    Variable("XDG_CACHE_HOME", "", True, False, "Where `driftwatch demo` unpacks its model, in driftwatch/ below it."),
)


class Setting(NamedTuple):
    """One setting, as a run will use it.

    Attributes:
        key: Keys from the outside in, joined by dots; entries of lists by name or by number.
        value: The plain value; `None` means null.
        source: "default", a place in the file, or the name of an environment variable.
    """

    key: str
    value: Any
    source: str


def settings(config: Config, environment: Mapping[str, str] | None = None) -> list[Setting]:
    """All settings of a run, in the order of the documentation.

    Args:
        config: Settings from `load_config`.
        environment: Environment variables; `None` takes the process's own.
    """
    environment = os.environ if environment is None else environment
    found: list[Setting] = []
    for name, schema in shipped()["properties"].items():
        found += _settings(config, (name,), name, schema, config.values.get(name), name in config.values)
    return [_overridden(setting, environment) for setting in found]


def check_environment(environment: Mapping[str, str] | None = None) -> None:
    """Check the environment variables that can be wrong.

    Raises:
        ConfigError: DRIFTWATCH_PORT is no port.
    """
    environment = os.environ if environment is None else environment
    port = environment.get("DRIFTWATCH_PORT") or "0"
    if not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"DRIFTWATCH_PORT is a number from 0 to 65535; found {port!r}. Correct or unset it.")


def variables(environment: Mapping[str, str] | None = None) -> list[tuple[Variable, str]]:
    """The variables that are set, each with the value that may be shown."""
    environment = os.environ if environment is None else environment
    set_ones = [(variable, environment[variable.name]) for variable in VARIABLES if environment.get(variable.name)]
    return [(v, HIDDEN if v.is_secret else _USERINFO.sub("***@", value)) for v, value in set_ones]


def _settings(config: Config, key: Key, shown: str, schema: Schema, value: Any, given: bool) -> Iterator[Setting]:
    schema = resolved(schema)
    source = str(config.place(*key)) if given else DEFAULT
    section = _section(schema, value, given)
    if section is not None:
        for name, inner in section.items():
            inside = isinstance(value, dict) and name in value
            yield from _settings(
                config, (*key, name), f"{shown}.{name}", inner, value[name] if inside else None, inside
            )
        return
    value = value if given else schema.get("default")
    if isinstance(value, list) and "x-kind" in resolved(schema.get("items", {})):
        yield from _listed(config, key, shown, resolved(schema["items"]), value, source)
    elif "x-kind" in schema and value is not None:
        yield from _named(config, key, shown, schema, value, source)
    else:
        yield Setting(shown, _hidden(shown, value), source)


def _section(schema: Schema, value: Any, given: bool) -> Schema | None:
    """The keys of a section that is set; `None` for a plain value, and for a section that is null."""
    if "x-kind" in schema or (value is None and ("anyOf" in schema or given)):
        return None
    for alternative in map(resolved, schema.get("anyOf", [schema])):
        if alternative.get("type") == "object" and (value is None or isinstance(value, dict)):
            properties: Schema = alternative.get("properties", {})
            return properties or None
    return None


def _listed(config: Config, key: Key, shown: str, schema: Schema, value: list[Any], source: str) -> Iterator[Setting]:
    yield Setting(shown, [_name(entry) for entry in value], source)
    for number, entry in enumerate(value):
        yield from _options(config, (*key, number), shown, schema, entry, source == DEFAULT)


def _named(config: Config, key: Key, shown: str, schema: Schema, value: Any, source: str) -> Iterator[Setting]:
    yield Setting(shown, _hidden(shown, _name(value)), source)
    yield from _options(config, key, shown, schema, value, source == DEFAULT)


def _options(config: Config, key: Key, shown: str, schema: Schema, entry: Any, is_default: bool) -> Iterator[Setting]:
    """The options of an object made by name: the known ones, and those that the file gives beyond them."""
    name = _name(entry)
    given = next(iter(entry.values())) if isinstance(entry, dict) else {}
    known = schema["anyOf"][1]["properties"].get(name, {}).get("properties", {})
    at = (*key, name)
    for option in dict.fromkeys([*known, *given]):
        inner = known.get(option, {})
        yield from _settings(
            config, (*at, option), f"{shown}.{name}.{option}", inner, given.get(option), option in given
        )


def _name(entry: Any) -> str:
    return str(next(iter(entry))) if isinstance(entry, dict) else str(entry)


def _hidden(shown: str, value: Any) -> Any:
    """The value with secrets taken out."""
    if value is not None and _SECRET.search(shown.rpartition(".")[2]):
        return HIDDEN
    if isinstance(value, dict):
        return {key: _hidden(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hidden("", inner) for inner in value]
    return _USERINFO.sub("***@", value) if isinstance(value, str) else value


def _overridden(setting: Setting, environment: Mapping[str, str]) -> Setting:
    for variable in VARIABLES:
        if variable.setting != setting.key or not (value := environment.get(variable.name)):
            continue
        if variable.wins or setting.value is None:
            is_number = isinstance(setting.value, int) and value.isdigit()
            return Setting(setting.key, int(value) if is_number else _hidden("", value), variable.name)
    return setting
