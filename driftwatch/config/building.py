"""Makes the objects that plain settings describe: a DriftCallback, or the keyword arguments of a Monitor.

Each call makes new objects, since exporters and judges belong to one run. Where a constructor refuses a value, the
error gets file and line of the key that it names, and the other values are still tried.
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
    """A setting from which nothing can be made.

    Attributes:
        place: Place of the setting that the error names, or of the section around it.
        error: The error that the constructor raised.
    """

    place: Place
    error: DriftwatchError

    def raised(self) -> DriftwatchError:
        """The error, with its place at the start of its message."""
        return type(self.error)(f"{self.place}: {self.error}")


def make_callback(config: Config, **changes: Any) -> "DriftCallback":
    """Make a callback with these settings.

    Args:
        config: Settings from `load_config`.
        changes: Keyword arguments of `DriftCallback` that replace those of the file.

    Raises:
        ConfigError, PackError, PluginError, JudgeError: A setting cannot work; the message has its file and line.
    """
    from driftwatch.callback import DriftCallback

    arguments = {**callback_arguments(config), **changes}
    with blamed(config, (), config.values):
        return DriftCallback(**arguments)


def callback_arguments(config: Config) -> dict[str, Any]:
    """The settings as keyword arguments of `DriftCallback`."""
    return _sound(config, {name: value for name, value in config.values.items() if name != SERVICE})


def monitor_arguments(config: Config) -> dict[str, Any]:
    """The settings as keyword arguments of `Monitor`; those that only a Trainer can use are left out.

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
    """A context that raises an error from inside it again, with the place of the setting that its message names."""
    try:
        yield
    except DriftwatchError as err:
        if not config.file or str(err).startswith(f"{config.file}:"):
            raise  # there is no file, or an inner context has added the place already
        raise Misfit(config.place(*key, *_named(values, str(err))), err).raised() from err


def _named(values: Any, text: str) -> Key:
    """The keys, from the outside in, of the setting that a message names first."""
    if not isinstance(values, Mapping):
        return ()
    places = [(found.start(), name) for name in values if (found := re.search(rf"\b{re.escape(name)}\b", text))]
    if not places:
        return ()
    name = min(places)[1]
    return (name, *_named(values[name], text))


class Builder:
    """Makes the objects that the settings describe, and collects every error instead of stopping at the first.

    Args:
        config: The settings.
        makes: Decides, from a kind and a registered name, whether to make the object. Other objects are left out.
    """

    def __init__(self, config: Config, makes: Callable[[plugins.Kind, str], bool] = lambda kind, name: True) -> None:
        self.misfits: list[Misfit] = []
        self._config = config
        self._makes = makes

    def arguments(self, made: Any, values: Mapping[str, Any], key: Key) -> dict[str, Any]:
        """The values in the form that the constructor `made` takes; `WRONG` for each that cannot be made."""
        annotations = {p.name: p.annotation for p in parameters(made)}
        return {name: self._value(annotations.get(name, Any), value, (*key, name)) for name, value in values.items()}

    def pack(self, value: str) -> Any:
        """The pack of this name or path; `WRONG` if it cannot be loaded."""
        from driftwatch.topics import load_pack

        return self._tried(lambda: load_pack(value), ("pack",), {})

    def settle(self, arguments: Mapping[str, Any]) -> None:
        """Check what no single setting can say: that the pack is there and has the topics that settings name."""
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
        """The object registered under a name, made with these options."""
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
        except (TypeError, AttributeError) as err:  # an option is missing, or it is a text where an object is needed
            if kind == "judges":
                from driftwatch.judges.by_name import not_made

                raise not_made(name, err) from err
            raise ConfigError(f"{name} cannot be made: {err}. Correct its options.") from err

    def _tried(self, call: Callable[[], Any], key: Key, values: Mapping[str, Any]) -> Any:
        """The result of a call; if it fails, `WRONG`, with a misfit at the key that the error names."""
        try:
            return call()
        except DriftwatchError as err:
            if not self._config.file:
                raise
            self.misfits.append(Misfit(self._config.place(*key, *_named(values, str(err))), err))
            return WRONG
