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
    ├── JudgeError         a reply could not be read
    └── ExportError        an exporter could not deliver

Every message says what was expected, what was found and what to do.
"""


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
    """What a newer driftwatch has written."""


class PluginError(DriftwatchError):
    """A name that no installed package provides."""


class ProbeError(DriftwatchError):
    """The model could not be asked."""


class JudgeError(DriftwatchError):
    """A reply could not be read."""


class ExportError(DriftwatchError):
    """An exporter could not deliver."""


# What a user set wrongly, and is told before training begins.
SETTINGS = (ConfigError, PackError, BaselineError, StoreError, PluginError)
