"""What runs here."""

import platform
from importlib.metadata import version

PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft")


def versions():
    """Of Python and of the packages whose versions matter to a user; builds ("+cpu") are the same version."""
    return {"python": platform.python_version(), **{name: version(name).split("+")[0] for name in PACKAGES}}
