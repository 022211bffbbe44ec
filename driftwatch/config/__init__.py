"""Settings in one YAML file, which the callback, `driftwatch run` and the service read alike.

::

    drift.yaml ──reading──► Config ──building──► DriftCallback, Monitor's arguments, serve's options
                   │           │
                   │           └──checking──► every fault, with its line
                   └ config.schema.json ◄── annotations of `RunSettings` and of what is made by name

There is no second vocabulary: every parameter of `DriftCallback` is a key of the file, under the same name.
"""

from driftwatch.config.building import callback_arguments, make_callback, monitor_arguments
from driftwatch.config.checking import check_config, load_config, read_config
from driftwatch.config.reading import Config

__all__ = [
    "Config",
    "callback_arguments",
    "check_config",
    "load_config",
    "make_callback",
    "monitor_arguments",
    "read_config",
]
