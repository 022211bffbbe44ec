"""Plain settings to the objects that they describe: a DriftCallback, or the keyword arguments of a Monitor.

Each call makes new objects, since exporters and judges belong to one run. What a constructor refuses gets file and line
of the key that it names, and the others are tried all the same.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from driftwatch import plugins
from driftwatch.config.reading import WRONG, Config, Key
from driftwatch.documents.annotations import (
    bare,
    is_sequence,
    kind_of,
    members,
    parameters,
    section_of,
    takes_any_keyword,
)
from driftwatch.documents.checking import wrong_in
from driftwatch.documents.node import Place
from driftwatch.errors import ConfigError, DriftwatchError
from driftwatch.watch.settings import OF_A_TRAINER, RunSettings, settle

if TYPE_CHECKING:
    from driftwatch.callback import DriftCallback

SERVICE = "service"  # the section of `driftwatch serve`


class Misfit(NamedTuple):
    """Something that cannot be made.

    Attributes:
        place: Of the setting that it names, or of what is around that.
        error: What the constructor raised.
    """

    place: Place
    error: DriftwatchError

    def raised(self) -> DriftwatchError:
        """The error with its place before it."""
        return type(self.error)(f"{self.place}: {self.error}")


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
    return _sound(config, {name: value for name, value in config.values.items() if name != SERVICE})


def monitor_arguments(config: Config) -> dict[str, Any]:
    """Keyword arguments of `Monitor`; what only a Trainer can use is left out.

    `Monitor(**monitor_arguments(load_config("drift.yaml")))` watches a loop of your own.
    """
    left_out = (SERVICE, *OF_A_TRAINER)
    return _sound(config, {n: v for n, v in config.values.items() if n not in left_out and v is not None})


def _sound(config: Config, values: Mapping[str, Any]) -> dict[str, Any]:
    builder = Builder(config)
    arguments = builder.arguments(RunSettings, values, ())
    if isinstance(pack := arguments.get("pack"), str):
        arguments["pack"] = builder.pack(pack)
    if builder.misfits:
        raise builder.misfits[0].raised() from builder.misfits[0].error
    return {name: value for name, value in arguments.items() if value is not WRONG}


@contextmanager
def blamed(config: Config, key: Key, values: Mapping[str, Any]) -> Iterator[None]:
    """Raises what goes wrong inside again, with the place of the setting that the message names."""
    try:
        yield
    except DriftwatchError as err:
        if not config.file or str(err).startswith(f"{config.file}:"):
            raise  # there is no file, or the error comes from further inside and is placed there
        raise Misfit(config.place(*key, *_named(values, str(err))), err).raised() from err


def _named(values: Any, text: str) -> Key:
    """Keys, from the outside in, of the setting that a message names first."""
    if not isinstance(values, Mapping):
        return ()
    places = [(found.start(), name) for name in values if (found := re.search(rf"\b{re.escape(name)}\b", text))]
    if not places:
        return ()
    name = min(places)[1]
    return (name, *_named(values[name], text))


class Builder:
    """Makes what the settings describe, and collects what cannot be made instead of stopping at the first.

    Args:
        config: The settings.
        makes: Whether to make, of a kind of thing, what was registered under a name. What is not made is left out.
    """

    def __init__(self, config: Config, makes: Callable[[plugins.Kind, str], bool] = lambda kind, name: True) -> None:
        self.misfits: list[Misfit] = []
        self._config = config
        self._makes = makes

    def arguments(self, made: Any, values: Mapping[str, Any], key: Key) -> dict[str, Any]:
        """Values as its constructor takes them; `WRONG` for each that cannot be made."""
        annotations = {p.name: p.annotation for p in parameters(made)}
        return {name: self._value(annotations.get(name, Any), value, (*key, name)) for name, value in values.items()}

    def pack(self, value: str) -> Any:
        """The pack of this name or path."""
        from driftwatch.topics import load_pack

        return self._tried(lambda: load_pack(value), ("pack",), {})

    def settle(self, arguments: Mapping[str, Any]) -> None:
        """See what no single setting says: the pack is there, and its topics are those that are named."""
        _, wrong = settle({name: value for name, value in arguments.items() if value is not WRONG})
        self.misfits += [Misfit(self._config.place(*one.key), one.error) for one in wrong]

    def _value(self, annotation: Any, value: Any, key: Key) -> Any:
        if value is None or value is WRONG:
            return value
        if kind := kind_of(annotation):
            return self._named(kind, value, key)
        section = section_of(annotation)
        if section is not None and isinstance(value, dict):
            found = self.arguments(section, value, key)
            arguments = {name: one for name, one in found.items() if one is not WRONG}
            return self._tried(lambda: section(**arguments), key, value)
        for member in (bare(member)[0] for member in members(annotation)):
            if isinstance(value, list) and is_sequence(member):
                inner = bare(get_args(member)[0])[0]
                entries = [self._value(inner, entry, (*key, n)) for n, entry in enumerate(value)]
                return WRONG if any(entry is WRONG for entry in entries) else tuple(entries)
        return value

    def _named(self, kind: plugins.Kind, value: Any, key: Key) -> Any:
        if isinstance(value, str):
            if not self._makes(kind, value.partition(":")[0] if kind == "judges" else value):
                return WRONG
            if kind == "judges":
                from driftwatch.judges.by_name import judge_by_name

                return self._tried(lambda: judge_by_name(value), key, {})
            return self._tried(lambda: plugins.made(kind, value), key, {})
        ((name, options),) = value.items()
        at = (*key, name)
        if not self._makes(kind, name):
            return WRONG
        return self._tried(lambda: self._made(kind, name, options, at), at, options)

    def _made(self, kind: plugins.Kind, name: str, options: Mapping[str, Any], at: Key) -> Any:
        """What is registered under a name, made with options."""
        made = plugins.load(kind, name)
        known = [parameter.name for parameter in parameters(made)]
        unknown = [option for option in options if option not in known]
        if unknown and not takes_any_keyword(made):
            raise ConfigError(f"{name} has no option {unknown[0]}; its options: {', '.join(known) or 'none'}.")
        arguments = self.arguments(made, options, at)
        wrong = wrong_in(made, {option: value for option, value in arguments.items() if value is not WRONG})
        self.misfits += [Misfit(self._config.place(*at, *one.key), one.error) for one in wrong]
        if wrong or any(one is WRONG for one in arguments.values()):
            return WRONG
        try:
            return made(**arguments)
        except (TypeError, AttributeError) as err:  # an option is missing, or a text where it wants an object
            if kind == "judges":
                from driftwatch.judges.by_name import not_made

                raise not_made(name, err) from err
            raise ConfigError(f"{name} cannot be made: {err}. Correct its options.") from err

    def _tried(self, call: Callable[[], Any], key: Key, values: Mapping[str, Any]) -> Any:
        """What a call makes; `WRONG`, and a misfit at the key that its error names, where it cannot."""
        try:
            return call()
        except DriftwatchError as err:
            if not self._config.file:
                raise
            self.misfits.append(Misfit(self._config.place(*key, *_named(values, str(err))), err))
            return WRONG
