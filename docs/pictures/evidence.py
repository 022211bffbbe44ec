"""Draws evidence.svg: one simulated run through the production code. Run from the repository's root.

python docs/pictures/evidence.py
"""

import math
from pathlib import Path

import numpy as np

from driftwatch.evidence import state as evidence
from driftwatch.evidence import verdict
from driftwatch.evidence.power import WATCHED_DRAWS
from driftwatch.evidence.state import Settings
from driftwatch.simulation import bank as synthetic

LOOKS, STEP_AT, FLIP, SEED = 40, 13, 0.15, 4
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 330, 56, 150, 22, 44
HIGHEST, LOWEST = 12.0, -1.5
VALUES = ("immigration", *(f"topic {i}" for i in range(2, 12)))
CONTROLS = ("tastes", "tools", "habits")


def simulate() -> tuple[np.ndarray, int, int]:
    """Log10 evidence of direction, shape (looks, topics); the look of the first topic's alert, and its onset."""
    rng = np.random.default_rng(SEED)
    settings = Settings(VALUES, CONTROLS, LOOKS)
    bank = synthetic.new_bank(rng, 1, len(settings.names), 50)
    mass = bank.drift_mass(FLIP, slice(1), 2)
    before = synthetic.read(bank.probs_RTMS, error=0.0, hidden_RTMS=0.02)
    state, curve = evidence.begin(settings, (1,)), []
    for look in range(1, LOOKS + 1):
        moved = synthetic.drifted(bank.probs_RTMS, mass, np.ones(1) * (look >= STEP_AT), 2)
        screened = np.abs(moved.mean(2) - bank.probs_RTMS.mean(2)).max(-1) > 0.06
        drawn = np.arange(WATCHED_DRAWS) < verdict.allocated(state, screened)[..., None]
        items = rng.integers(0, 50, drawn.shape)
        now = synthetic.replies(rng, synthetic.read(moved, error=0.0, hidden_RTMS=0.02), items, drawn)
        state = evidence.advance(state, now, synthetic.replies(rng, before, items, drawn))
        curve.append(state.figures.plain_TDK[0, :, 0, 0] / math.log(10))
    _, onset = state.onset_TK.estimate(state.figures.sign_TK)
    return np.array(curve), int(state.alert_look_VDK[0, 0, 0, 0]), int(onset[0, 0, 0])


def x(look: float) -> float:
    """Where a look stands."""
    return LEFT + (WIDTH - LEFT - RIGHT) * (look - 1) / (LOOKS - 1)


def y(value: float) -> float:
    """Where a power of ten stands."""
    return TOP + (HEIGHT - TOP - BOTTOM) * (HIGHEST - min(value, HIGHEST)) / (HIGHEST - LOWEST)


def line(values: np.ndarray, colour: str, width: float) -> str:
    """One topic's curve."""
    points = " ".join(f"{x(i + 1):.1f},{y(v):.1f}" for i, v in enumerate(values))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def text(at_x: float, at_y: float, words: str, colour: str = "#444", anchor: str = "start") -> str:
    """A label."""
    return f'<text x="{at_x:.1f}" y="{at_y:.1f}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def level(value: float, words: str, colour: str) -> str:
    """A threshold."""
    ends = f'x1="{LEFT}" x2="{x(LOOKS):.1f}" y1="{y(value):.1f}" y2="{y(value):.1f}"'
    rule = f'<line {ends} stroke="{colour}" stroke-dasharray="5 4"/>'
    return rule + text(x(LOOKS) + 8, y(value) + 4, words, colour)


def moment(look: int, words: str, row: int) -> str:
    """A look at which something happens."""
    rule = f'<line x1="{x(look):.1f}" x2="{x(look):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#bbb"/>'
    return rule + text(x(look) - 6, TOP + 12 + 15 * row, words, "#666", "end")


def draw() -> str:
    """The picture as SVG."""
    curve, alert, onset = simulate()
    threshold = math.log10((2 * len(VALUES) + 1) / 0.01)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *(
            text(LEFT - 8, y(v) + 4, f"10{''.join('⁰¹²³⁴⁵⁶⁷⁸⁹'[int(c)] for c in str(v))}", anchor="end")
            for v in range(0, 12, 2)
        ),
        *(text(x(look), HEIGHT - BOTTOM + 18, str(look), anchor="middle") for look in (1, 10, 20, 30, 40)),
        text(x(20.5), HEIGHT - 8, "look", anchor="middle"),
        moment(STEP_AT, "the model moves", 0),
        moment(alert, f"ALERT (onset: look {onset})", 1),
        level(threshold, "alert: H / α = 2,300", "#b3261e"),
        level(math.log10(20), "watch: 20", "#8a6d00"),
        *(line(curve[:, t], "#9aa5b1" if t < len(VALUES) else "#7bb992", 1.2) for t in range(1, curve.shape[1])),
        line(curve[:, 0], "#1f5fbf", 2.6),
        text(x(LOOKS) + 8, y(HIGHEST) + 12, "a flip of 0.15", "#1f5fbf"),
        text(x(LOOKS) + 8, y(-0.4), "ten other topics,", "#6b7682"),
        text(x(LOOKS) + 8, y(-0.4) + 15, "three controls", "#4f8f68"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw(), encoding="utf-8")
