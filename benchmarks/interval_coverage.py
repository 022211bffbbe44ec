"""How often intervals over items cover, and how often the gate says "within" of a model that moved by the tolerance.

    python -m benchmarks.interval_coverage [--runs 400]

Populations of items whose mean change is known: changes that are normal, the project's own model of how items drift
(few move far, most a little), one item in nine or ten that changes sides altogether, and a tenth that moves far while
the others move back. Prints one JSON line a cell and the two tables of docs/statistics.md.
"""

import json
from functools import cache

import click
import numpy as np

from driftwatch.drift.compare import compare
from driftwatch.drift.equivalence import compare_models
from driftwatch.simulation.bank import new_bank
from driftwatch.stance import Probs, Stance

POPULATION, TOLERANCE = 20_000, 0.10


@cache
def populations():
    """Stances before and after, by kind of change, each of shape (POPULATION, 3)."""
    rng = np.random.default_rng(0)
    thirds, leaning = np.full((POPULATION, 3), 1 / 3), np.tile([0.004, 0.004, 0.992], (POPULATION, 1))
    normal = np.clip(rng.normal(0, 0.1, POPULATION), -0.23, 0.23)
    bank = new_bank(rng, 1, 1, POPULATION)
    own = bank.probs_RTMS[0, 0]
    skewed = np.where(np.arange(POPULATION) % 10 == 0, 0.32, 0.0)
    changes = {
        "normal": (thirds, normal - normal.mean() + TOLERANCE),
        "synthetic": (own, bank.drift_mass(TOLERANCE, slice(0, 1), 2)[0, 0]),
        "one in nine": (leaning, np.where(np.arange(POPULATION) % 9 == 0, 0.99, 0.0)),
        "one in ten": (leaning, np.where(np.arange(POPULATION) % 10 == 0, 0.99, 0.0)),
        "skewed": (thirds, skewed + TOLERANCE - skewed.mean()),
    }
    return {name: (before, before + mass[:, None] * np.array([1, 0, -1])) for name, (before, mass) in changes.items()}


def sampled(name, num_items, rng):
    """A bank of that population on both sides, and its true mean change of support."""
    before, after = populations()[name]
    picked = rng.integers(0, POPULATION, num_items)
    sides = [[Stance("t", str(i), "statement", probs=Probs(*side[k])) for i, k in enumerate(picked)]
             for side in (before, after)]  # fmt: skip
    return sides, float((after - before)[:, 0].mean())


def covered(name, num_items, runs):
    """Share of the intervals shown at a nominal 0.95 that hold the true net shift; `None` where none is shown."""
    rng = np.random.default_rng([len(name), num_items])
    hits, shown = 0, 0
    for _ in range(runs):
        (before, after), truth = sampled(name, num_items, rng)
        (drift,) = compare(before, after, against="start", rng=rng)
        if drift.interval is not None:
            shown += 1
            hits += drift.interval.contains(2 * truth)
    return hits / shown if shown else None


def wrongly_within(name, num_items, runs):
    """Share of banks that the gate calls within at alpha 0.05, where the true shift is the tolerance at least.

    `None` where it is smaller.
    """
    rng = np.random.default_rng([len(name), num_items, 1])
    found = 0
    for _ in range(runs):
        sides, truth = sampled(name, num_items, rng)
        if truth < TOLERANCE - 1e-9:
            return None
        (only,) = compare_models(*sides, max_drift=TOLERANCE, alpha=0.05)
        found += only.decision == "within"
    return found / runs


NAMES = ("normal", "synthetic", "skewed", "one in nine", "one in ten")
COVERED, GATED = (8, 12, 20, 30, 52), (10, 20, 50, 150)


@click.command()
@click.option("--runs", default=400, show_default=True, help="Banks a cell.")
def main(runs: int) -> None:
    """Print both tables."""
    for title, sizes, measure in (("coverage", COVERED, covered), ("within", GATED, wrongly_within)):
        rows = []
        for name in NAMES:
            found = [measure(name, size, runs) for size in sizes]
            for size, share in zip(sizes, found, strict=True):
                print(json.dumps({"table": title, "changes": name, "items": size, "runs": runs, "share": share}))
            rows.append([name, *("–" if share is None else f"{share:.3f}" for share in found)])
        head = [title, *(f"{size} items" for size in sizes)]
        for row in (head, ["---"] * len(head), *rows):
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
