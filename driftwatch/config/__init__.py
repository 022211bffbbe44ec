"""Settings in one YAML file: the callback, `driftwatch run` and the service read the same.

::

    drift.yaml ──reading──► Config ──building──► DriftCallback, Monitor's arguments, serve's options
                   │
                   └ config.schema.json ◄──making── the constructors themselves

So there is no second vocabulary: a parameter of `DriftCallback` is a key of the file, under the same name.
"""

from driftwatch.config.building import callback_arguments, make_callback, monitor_arguments, try_out
from driftwatch.config.reading import Config, load_config, read_config

__all__ = [
    "Config",
    "callback_arguments",
    "load_config",
    "make_callback",
    "monitor_arguments",
    "read_config",
    "try_out",
]
