"""Drawing: a few SVG shapes and axes, enough for the report's static pictures, without any library."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

INK, QUIET, GRID, EDGE, GROUND = "#16202a", "#566472", "#e6ebf0", "#d5dce3", "#ffffff"
SUPPORT, NEUTRAL, OPPOSE, ALERT = "#0067a8", "#6b7680", "#c14f00", "#b3261e"  # Okabe and Ito's, darkened for print
LINES = ("#0067a8", "#c14f00", "#007a5a", "#a3327f", "#8a6d00", "#3d4f9f")
FAINT = "#c3ccd5"
Numbers = Sequence[float | None]


class Picture:
    """An SVG image under construction.

    Args:
        width, height: Pixels.
        title: The text that a screen reader says.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, **style: object) -> None:
        """A rectangle."""
        self._add("rect", x=x, y=y, width=width, height=height, **style)

    def line(self, x1: float, y1: float, x2: float, y2: float, **style: object) -> None:
        """A straight line."""
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, **style)

    def path(self, points: Sequence[tuple[float, float]], *, closed: bool = False, **style: object) -> None:
        """A line through points, or the area they enclose."""
        steps = " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._add("path", d=f"M{steps}{'Z' if closed else ''}", **({} if closed else {"fill": "none"}), **style)

    def circle(self, x: float, y: float, r: float, **style: object) -> None:
        """A dot."""
        self._add("circle", cx=x, cy=y, r=r, **style)

    def text(self, x: float, y: float, text: str, *, size: float = 11, anchor: str = "start", **style: object) -> None:
        """A line of text, baseline at `y`."""
        attributes = _attributes({"x": x, "y": y, "font-size": size, "text-anchor": anchor, "fill": INK, **style})
        self._parts.append(f"<text{attributes}>{escape(text)}</text>")

    def svg(self) -> str:
        """The whole image as one SVG document."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:.0f}" height="{self.height:.0f}" '
            f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img" '
            'font-family="system-ui, Segoe UI, Noto Sans, DejaVu Sans, sans-serif">'
            f"<title>{escape(self.title)}</title>"
            f'<rect width="100%" height="100%" fill="{GROUND}"/>{"".join(self._parts)}</svg>'
        )

    def _add(self, tag: str, **attributes: object) -> None:
        self._parts.append(f"<{tag}{_attributes(attributes)}/>")


def _attributes(values: dict[str, object]) -> str:
    shown = ((name.replace("_", "-"), _plain(value)) for name, value in values.items() if value is not None)
    return "".join(f' {name}="{escape(value)}"' for name, value in shown)


def _plain(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


class Axes:
    """A plotting area with its scales, drawn into a picture.

    Args:
        picture: The picture to draw into.
        box: Left, top, width and height of the area, in pixels.
        x: Lowest and highest step.
        y: Lowest and highest figure.
        y_label: Gives the text of a tick on the y-axis.
        num_ticks: About how many ticks the y-axis has.
    """

    def __init__(
        self,
        picture: Picture,
        box: tuple[float, float, float, float],
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        y_label: Callable[[float], str],
        num_ticks: int = 3,
    ) -> None:
        self.picture = picture
        self.left, self.top, self.width, self.height = box
        self._x = x if x[0] < x[1] else (x[0] - 0.5, x[1] + 0.5)
        self._y = y if y[0] < y[1] else (y[0] - 0.5, y[1] + 0.5)
        for tick in ticks(*self._y, num_ticks):
            at = self.at_y(tick)
            picture.line(self.left, at, self.left + self.width, at, stroke=GRID)
            picture.text(self.left - 6, at + 4, y_label(tick), size=10, anchor="end", fill=QUIET)
        for tick in ticks(*self._x, max(2, int(self.width / 60)), whole=True):
            at = self.at_x(tick)
            picture.line(at, self.top + self.height, at, self.top + self.height + 4, stroke=EDGE)
            picture.text(at, self.top + self.height + 15, f"{tick:.0f}", size=10, anchor="middle", fill=QUIET)

    def at_x(self, value: float) -> float:
        """The x-coordinate of a step, in pixels."""
        low, high = self._x
        return self.left + self.width * (value - low) / (high - low)

    def at_y(self, value: float) -> float:
        """The y-coordinate of a figure in pixels, kept inside the area."""
        low, high = self._y
        part = min(1.0, max(0.0, (value - low) / (high - low)))
        return self.top + self.height * (1 - part)

    def curve(self, x: Sequence[float], y: Numbers, color: str, *, dash: str | None = None, width: float = 2) -> None:
        """Draw a line that breaks where a figure is missing; a figure without neighbours becomes a dot."""
        for run in _runs(x, y):
            points = [(self.at_x(a), self.at_y(b)) for a, b in run]
            if len(points) == 1:
                self.picture.circle(*points[0], 2.5, fill=color)
            else:
                self.picture.path(points, stroke=color, stroke_width=width, stroke_dasharray=dash)

    def band(self, x: Sequence[float], lower: Numbers, upper: Numbers, color: str) -> None:
        """Fill the area between two lines."""
        pairs = [None if a is None or b is None else (a, b) for a, b in zip(lower, upper, strict=True)]
        lows = [None if pair is None else pair[0] for pair in pairs]
        highs = [None if pair is None else pair[1] for pair in pairs]
        for low, high in zip(_runs(x, lows), _runs(x, highs), strict=True):
            if len(low) > 1:
                outline = [(self.at_x(a), self.at_y(b)) for a, b in [*low, *reversed(high)]]
                self.picture.path(outline, closed=True, fill=color, fill_opacity=0.18)

    def level(self, value: float, color: str, *, text: str = "", dash: str | None = "6 4") -> None:
        """Draw a horizontal line across the area."""
        at = self.at_y(value)
        self.picture.line(self.left, at, self.left + self.width, at, stroke=color, stroke_dasharray=dash)
        if text:
            self.picture.text(self.left + 4, at - 4, text, size=10, fill=color)

    def mark(self, value: float, text: str, color: str = QUIET) -> None:
        """Draw a vertical line at a step."""
        at = self.at_x(value)
        self.picture.line(at, self.top, at, self.top + self.height, stroke=color, stroke_dasharray="2 3")
        is_right = at > self.left + 0.7 * self.width
        offset, anchor = (-4, "end") if is_right else (4, "start")
        self.picture.text(at + offset, self.top + 9, text, size=9.5, anchor=anchor, fill=color)


def _runs(x: Sequence[float], y: Numbers) -> Iterator[list[tuple[float, float]]]:
    """The stretches of a curve in which no figure is missing."""
    run: list[tuple[float, float]] = []
    for a, b in zip(x, y, strict=True):
        if b is not None:
            run.append((a, b))
        elif run:
            yield run
            run = []
    if run:
        yield run


def ticks(low: float, high: float, number: int, *, whole: bool = False) -> list[float]:
    """Round figures within a range, about `number` of them.

    >>> ticks(0, 1, 5), ticks(-0.4, 0.4, 3)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0])
    """
    rough = (high - low) / max(1, number)
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    if whole:
        step = max(1.0, float(round(step)))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def mixed(color: str, share: float) -> str:
    """A colour mixed with white; `share` of the colour is in [0, 1].

    >>> mixed("#0067a8", 0.0)
    '#ffffff'
    """
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)
