"""What can go wrong, as a tree.

::

    DriftwatchError
    ├── ConfigError        a setting that cannot work; raised before training begins
    │   └── UnfitError     a training that cannot be watched, whatever the settings
    ├── PackError          a topic pack that cannot be used; names file and line
    ├── BaselineError      a baseline that is missing, torn, or not comparable
    ├── StoreError         a run folder that cannot be read or written
    │   └── NewerSchemaError   it was written by a newer driftwatch
    ├── PluginError        a name that no installed package provides
    ├── ProbeError         the model could not be asked
    │   └── RanksError     ranks could not agree, or one of them failed; every rank raises it
    ├── JudgeError         a judge failed, or replies for it cannot be used
    └── ExportError        an exporter could not deliver

Every message says what was expected, what was found and what to do. If something may be missing without an error, an
`Absent` with the reason stands in its place.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Absent:
    """Something that is missing, which is no error.

    Attributes:
        why: The reason, as a clause.
    """

    why: str


class DriftwatchError(Exception):
    """Anything that driftwatch raises for a user to act on."""


class ConfigError(DriftwatchError):
    """A setting that cannot work."""


class UnfitError(ConfigError):
    """A training that cannot be watched, whatever the settings: another kind of model, or no tokenizer."""


class PackError(DriftwatchError):
    """A topic pack that cannot be used."""


class BaselineError(DriftwatchError):
    """A baseline that is missing, torn, or not comparable with what is asked now."""


class StoreError(DriftwatchError):
    """A run folder that cannot be read or written."""


class NewerSchemaError(StoreError):
    """A run folder that a newer driftwatch has written."""


class PluginError(DriftwatchError):
    """A name that no installed package provides."""


class ProbeError(DriftwatchError):
    """The model could not be asked."""


class RanksError(ProbeError):
    """Several ranks could not do something together; every rank raises it with the same words.

    Attributes:
        ranks: The ranks on which it failed, that did not arrive, or that did something else.
        is_setting: Whether it failed because of a setting that cannot work.
        is_lost: Whether the ranks can do nothing more of this observation together.
    """

    def __init__(
        self, text: str, ranks: tuple[int, ...] = (), *, is_setting: bool = False, is_lost: bool = False
    ) -> None:
        super().__init__(text)
        self.ranks = ranks
        self.is_setting = is_setting
        self.is_lost = is_lost


class JudgeError(DriftwatchError):
    """A judge failed, or replies that were labelled for it cannot be used."""


class ExportError(DriftwatchError):
    """An exporter could not deliver."""


# Mistakes in a user's settings; they are raised before training begins.
SETTINGS = (ConfigError, PackError, BaselineError, StoreError, PluginError)
