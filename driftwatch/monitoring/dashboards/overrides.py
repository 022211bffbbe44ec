"""Overrides: display settings of single series in a panel."""

from typing import Any


def override(pattern: str, **properties: Any) -> dict[str, Any]:
    """Settings for the series whose names match a regular expression; `custom__x` stands for `custom.x`."""
    return {
        "matcher": {"id": "byRegexp", "options": pattern},
        "properties": [{"id": name.replace("__", "."), "value": value} for name, value in properties.items()],
    }


def band(lower: str, upper: str) -> list[dict[str, Any]]:
    """Overrides that draw two series as the edges of a filled band and leave them out of the legend."""
    hidden = {"legend": True, "tooltip": False, "viz": False}
    return [
        override(f"/^{lower}$/", custom__lineWidth=0, custom__hideFrom=hidden),
        override(
            f"/^{upper}$/",
            custom__lineWidth=0,
            custom__hideFrom=hidden,
            custom__fillBelowTo=lower,
            custom__fillOpacity=15,
        ),
    ]
