"""Render: writes a summary as one HTML file, as Markdown or as JSON, and its pictures as files."""

from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from driftwatch import __version__
from driftwatch import wording as words
from driftwatch.errors import ConfigError
from driftwatch.evidence.rows import CONFIRM
from driftwatch.record.figures import net_shifts
from driftwatch.record.record import Drift, RunInfo, TopicEvidence
from driftwatch.report.against import Comparison
from driftwatch.report.figures import Figure
from driftwatch.report.summary import Summary
from driftwatch.report.verdict import title

# The backslash comes first; otherwise those that the other replacements add would be doubled.
_IN_MARKDOWN = (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), (">", "&gt;"), ("`", "'"), ("[", "\\["), ("*", "\\*"))
PIXELS = 2.0  # pixels of the PNG per pixel of the SVG, so that print stays sharp


def html(summary: Summary, against: Comparison | None = None) -> str:
    """The report as one HTML file that needs no script and no network; its pictures are inside."""
    return _environment().get_template("report.html.j2").render(_context(summary, against))


def markdown(summary: Summary, against: Comparison | None = None) -> str:
    """The report as Markdown without pictures, for a pull request or a wiki."""
    return _environment().get_template("report.md.j2").render(_context(summary, against)).strip() + "\n"


def as_json(summary: Summary, against: Comparison | None = None) -> bytes:
    """Everything that the report says, as JSON for programs; pictures are left out."""
    value = {
        name: getattr(summary, name) for name in type(summary).__dataclass_fields__ if name not in ("figures", "choice")
    }
    return msgspec.json.format(msgspec.json.encode({"schema": 1, **value, "against": against}), indent=1) + b"\n"


def write_figures(figures: tuple[Figure, ...], folder: Path, kind: str) -> list[Path]:
    """Write each picture to a file of its own.

    Args:
        figures: The pictures to write.
        folder: Where to write them; it is made if missing.
        kind: "svg" or "png".

    Raises:
        ConfigError: PNG is asked for, and the package that draws it is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in figures:
        path = folder / f"{figure.name}.{kind}"
        path.write_bytes(png(figure.svg) if kind == "png" else figure.svg.encode())
        written.append(path)
    return written


def png(svg: str) -> bytes:
    """An SVG picture as PNG.

    Raises:
        ConfigError: The package that draws it is not installed.
    """
    try:
        import resvg_py
    except ImportError as err:
        raise ConfigError(
            'PNG pictures need a package that is not installed. Install it with: pip install "driftwatch-trl[report]"; '
            "SVG pictures need none."
        ) from err
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=PIXELS, sans_serif_family="DejaVu Sans"))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("driftwatch.report"),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    environment.globals.update(
        {name: getattr(words, name) for name in ("signed", "interval", "percent", "odds", "duration")},
        **{name: getattr(words, name) for name in ("signed_percent", "percent_interval", "percent_spread")},
        topic_title=title,
        pole=_pole,
        net_shift_of=_net_shift_of,
        label_meanings=words.LABEL_MEANINGS,
        state_words=words.STATE_WORDS,
    )
    return environment


def _pole(info: RunInfo, row: TopicEvidence) -> str:
    """The pole that a net shift points to; a dash for other kinds of evidence, and where there is no shift."""
    if not row.net_shift:
        return words.NO_FIGURE
    return info.topic(row.topic).poles[0 if row.net_shift > 0 else 1]


def _net_shift_of(summary: Summary, drift: Drift) -> str:
    """The net shift as text, in rows of judged replies, the probe that it belongs to."""
    shift, bounds = net_shifts(summary.evidence).get(drift.topic, (None, None))
    if drift.probe != CONFIRM:
        return words.NO_FIGURE
    shown = f" {words.percent_interval(bounds.lower, bounds.upper)}" if bounds is not None else ""
    return f"{words.signed_percent(shift)}{shown}"


def _context(summary: Summary, against: Comparison | None) -> dict[str, Any]:
    pictures = [(figure, Markup(figure.svg)) for figure in summary.figures]
    return {"s": summary, "info": summary.info, "against": against, "pictures": pictures, "version": __version__}


def _cell(value: object) -> str:
    """Text escaped so that it can neither end a cell of a Markdown table nor become markup in a page made from it."""
    text = words.printable(" ".join(str(value).split()))
    for sign, shown in _IN_MARKDOWN:
        text = text.replace(sign, shown)
    return text
