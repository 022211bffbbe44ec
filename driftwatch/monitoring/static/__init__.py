"""Texts that are shipped as they are, but for settings written as @name@."""

from importlib.resources import files


def read(name: str, **settings: str) -> str:
    """A text of this folder, with its settings filled in."""
    found = files(__name__).joinpath(name).read_text(encoding="utf-8")
    for key, value in settings.items():
        found = found.replace(f"@{key}@", value)
    return found
