"""Writes YAML that people can read: long strings are folded over lines, and keys stay in the given order."""

from typing import Any

import yaml

WIDTH = 116


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as people do who write such files by hand."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else ">" if len(value) > WIDTH - 30 else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(value: Any, *, comment: str = "") -> str:
    """Plain data as one YAML document.

    Args:
        value: Plain data.
        comment: Lines to put before the document, each as a comment.
    """
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)
