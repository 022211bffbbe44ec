"""Texts that are shipped as they are, except that settings replace @name@."""

from importlib.resources import files


def read(name: str, **settings: str) -> str:
    """A text of this folder, with the settings filled in."""
    found = files(__name__).joinpath(name).read_text(encoding="utf-8")
    for key, value in settings.items():
        found = found.replace(f"@{key}@", value)
    return found
