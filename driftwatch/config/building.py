"""Plain settings to the objects that they describe: a DriftCallback, or the keyword arguments of a Monitor.

Each call makes new objects, since exporters and judges belong to one run. What a constructor refuses is raised again
with file and line of the key that it names.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from driftwatch import plugins
from driftwatch.config import shape
from driftwatch.config.reading import Config, Key
from driftwatch.errors import ConfigError, DriftwatchError

if TYPE_CHECKING:
    from driftwatch.callback import DriftCallback

SERVICE = "service"  # the section of `driftwatch serve`
CALLBACK_ONLY = ("actions", "on_error")  # what needs a Trainer


def make_callback(config: Config, **changes: Any) -> "DriftCallback":
    """A callback with these settings.

    Args:
        config: From `load_config`.
        changes: Keyword arguments of `DriftCallback` that replace what the file says.

    Raises:
        ConfigError, PackError, PluginError, JudgeError: A setting that cannot work, with file and line.
    """
    from driftwatch.callback import DriftCallback

    arguments = {**callback_arguments(config), **changes}
    with blamed(config, (), config.values):
        return DriftCallback(**arguments)


def callback_arguments(config: Config) -> dict[str, Any]:
    """Keyword arguments of `DriftCallback`."""
    from driftwatch.callback import DriftCallback

    settings = {name: value for name, value in config.values.items() if name != SERVICE}
    return _Builder(config).arguments(DriftCallback, settings, ())


def monitor_arguments(config: Config) -> dict[str, Any]:
    """Keyword arguments of `Monitor`; what only a Trainer can use is left out.

    `Monitor(**monitor_arguments(load_config("drift.yaml")))` watches a loop of your own.
    """
    from driftwatch.watch.monitor import Monitor

    settings = {n: v for n, v in config.values.items() if n not in (SERVICE, *CALLBACK_ONLY) and v is not None}
    return _Builder(config).arguments(Monitor, settings, ())


def try_out(config: Config, *, baseline: bool = True) -> bool:
    """Make what a run would make, and throw it away.

    Args:
        config: From `load_config`.
        baseline: Whether to read the stored baseline that the settings name as well, and see that it is of their pack.

    Returns:
        Whether all of it was tried; `False` where the packages that training needs are missing, and only the pack was.

    Raises:
        ConfigError, PackError, PluginError, JudgeError, BaselineError: A setting that cannot work, with file and line.
    """
    try:
        import transformers  # noqa: F401 - to tell what is missing from what is wrong
    except ImportError:
        _pack(config)
        return False
    from driftwatch.watch.baselines import baseline_for

    make_callback(config)
    if baseline and (stored := config.values.get("baseline")) is not None:
        with blamed(config, ("baseline",), {}):
            baseline_for(_pack(config), stored)
    return True


def _pack(config: Config) -> Any:
    return _Builder(config).pack(config.values.get("pack", "core"))


@contextmanager
def blamed(config: Config, key: Key, values: Mapping[str, Any]) -> Iterator[None]:
    """Raises what goes wrong inside again, with the place of the setting that the message names."""
    try:
        yield
    except DriftwatchError as err:
        if not config.file or str(err).startswith(f"{config.file}:"):
            raise  # there is no file, or the error comes from further inside and is placed there
        raise type(err)(f"{config.place(*key, *_named(values, str(err)))}: {err}") from err


def _named(values: Any, text: str) -> Key:
    """Keys, from the outside in, of the setting that a message names first."""
    if not isinstance(values, Mapping):
        return ()
    places = [(found.start(), name) for name in values if (found := re.search(rf"\b{re.escape(name)}\b", text))]
    if not places:
        return ()
    name = min(places)[1]
    return (name, *_named(values[name], text))


class _Builder:
    def __init__(self, config: Config) -> None:
        self._config = config

    def arguments(self, made: Any, values: Mapping[str, Any], key: Key) -> dict[str, Any]:
        """Values as its constructor takes them."""
        annotations = {p.name: p.annotation for p in shape.parameters(made)}
        return {name: self._value(annotations.get(name, Any), value, (*key, name)) for name, value in values.items()}

    def _value(self, annotation: Any, value: Any, key: Key) -> Any:
        if value is None:
            return None
        if kind := shape.kind_of(annotation):
            return self._named(kind, value, key)
        if key == ("pack",):
            return self.pack(value)
        section = shape.section_of(annotation)
        if section is not None and isinstance(value, dict):
            arguments = self.arguments(section, value, key)
            with blamed(self._config, key, value):
                return section(**arguments)
        for member in shape.members(annotation):
            if isinstance(value, list) and shape.is_sequence(member):
                inner = get_args(member)[0]
                return tuple(self._value(inner, entry, (*key, n)) for n, entry in enumerate(value))
        return value

    def _named(self, kind: plugins.Kind, value: Any, key: Key) -> Any:
        if isinstance(value, str):
            with blamed(self._config, key, {}):
                if kind == "judges":
                    from driftwatch.judges.by_name import judge_by_name

                    return judge_by_name(value)
                return plugins.made(kind, value)
        ((name, options),) = value.items()
        at = (*key, name)
        with blamed(self._config, at, options):
            made = plugins.load(kind, name)
            known = [parameter.name for parameter in shape.parameters(made)]
            unknown = [option for option in options if option not in known]
            if unknown and not shape.takes_any_keyword(made):
                raise ConfigError(f"{name} has no option {unknown[0]}; its options: {', '.join(known) or 'none'}.")
            arguments = self.arguments(made, options, at)
            try:
                return made(**arguments)
            except (TypeError, AttributeError) as err:  # an option is missing, or a text where it wants an object
                if kind == "judges":
                    from driftwatch.judges.by_name import not_made

                    raise not_made(name, err) from err
                raise ConfigError(f"{name} cannot be made: {err}. Correct its options.") from err

    def pack(self, value: str) -> Any:
        """The pack of this name or path."""
        from driftwatch.topics import load_pack

        with blamed(self._config, ("pack",), {}):
            return load_pack(value)
