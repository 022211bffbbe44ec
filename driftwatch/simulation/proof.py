"""proof: what the test promises, each promise with the simulation that could refute it.

A suite is a list of studies. A study is a scenario with a number of runs and with what they must show. Studies without
a requirement are for information: they show power and delay, and what happens where an assumption does not hold.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any, Literal, NamedTuple

import numpy as np

from driftwatch.simulation.bank import CHANGES
from driftwatch.simulation.rate import Rate
from driftwatch.simulation.scenario import Found, Scenario, run

Suite = Literal["quick", "full"]
Figure = Literal[
    "any",
    "value",
    "specific",
    "unreadable",
    "found",
    "found specific",
    "median observation",
    "median observation specific",
]

BATCH = 100  # runs at once, so that they fit a processor's cache
ALPHAS = (0.01, 0.05, 0.1, 0.2)
GROUPS = {
    "level": "False alarms: nothing drifts, at most alpha of the runs may say so",
    "negative control": "Negative controls: one assumption broken on purpose, must fail",
    "power": "Power: one topic drifts",
    "general": "A general change: every topic drifts, controls included",
    "unprotected": "Where an assumption does not hold: for information",
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a figure must be.

    Attributes:
        figure: Which figure of a study.
        rule: "at most": the full suite needs the whole interval at `bound` or below, the quick suite only its lower
            end. "above": the whole interval must lie above `bound`. "at least", "estimate at most" and "no later
            than": the estimate itself is compared with `bound`.
        bound: A rate in [0, 1], or for "no later than" the number of an observation.
        delta: Position of the tolerated drift whose alerts are counted.
    """

    figure: Figure
    rule: Literal["at most", "above", "at least", "estimate at most", "no later than"]
    bound: float
    delta: int = 0


@dataclass(frozen=True, slots=True)
class Study:
    """One scenario of a suite, with its numbers of runs and what they must show.

    Attributes:
        quick: Number of runs in the quick suite; 0 leaves the study out.
        full: Number of runs in the full suite.
    """

    group: str
    scenario: Scenario
    quick: int
    full: int
    requirements: tuple[Requirement, ...] = ()


class Line(NamedTuple):
    """One figure of one study.

    Attributes:
        delta: Tolerated drift of the alerts that are counted.
        rate: Share of the runs in which it happened; `None` for a median observation.
        look: Median observation at which it was found, over the runs that found it; `None` for other figures, or if no
            run did.
        required: The requirement in words; `None` where nothing is required.
        passed: Whether the requirement holds; `None` where nothing is required.
    """

    group: str
    scenario: str
    figure: Figure
    delta: float
    rate: Rate | None
    look: float | None
    required: str | None
    passed: bool | None

    def to_json(self) -> dict[str, Any]:
        """The line as a flat object; the rate comes with its interval."""
        data = {key: value for key, value in self._asdict().items() if key != "rate"}
        if self.rate is not None:
            data |= {"rate": self.rate.value, "lower": self.rate.lower, "upper": self.rate.upper, **asdict(self.rate)}
        return data


class Report(NamedTuple):
    """What a suite found.

    Attributes:
        achieved: By requested α, the achieved rates of any alert and of value alerts, over the changes without drift
            that do not touch readability. They are taken before Holm's procedure and the minimal effect.
        passed: Whether every requirement holds.
    """

    suite: Suite
    seed: int
    lines: tuple[Line, ...]
    achieved: dict[float, tuple[Rate, Rate]]
    passed: bool

    def to_json(self) -> dict[str, Any]:
        """The report as one object, with `passed` on top."""
        return {
            "passed": self.passed,
            "suite": self.suite,
            "seed": self.seed,
            "results": [line.to_json() for line in self.lines],
            "achieved": [
                {"requested": alpha, "any": _flat(plain), "value": _flat(value)}
                for alpha, (plain, value) in self.achieved.items()
            ],
        }


def studies() -> list[Study]:
    """Every study, in the order of the report."""
    return [*_level(), *_negative_controls(), *_power(), *_general(), *_unprotected()]


def prove(
    suite: Suite, *, seed: int = 0, jobs: int = 1, progress: Callable[[str, float], None] = lambda name, share: None
) -> Report:
    """The report of a suite, which this function runs.

    Args:
        suite: "quick" finds what is badly broken in a minute or two; "full" bounds the rates.
        seed: The same seed gives the same figures, whatever the number of jobs.
        jobs: Number of processes.
        progress: Called with the study's name and the share of all runs done.
    """
    chosen = [study for study in studies() if _runs(study, suite)]
    tasks = [
        (study.scenario, size, (seed, number, batch))
        for number, study in enumerate(chosen)
        for batch, size in enumerate(_batches(_runs(study, suite)))
    ]
    total, done = sum(size for _, size, _ in tasks), 0
    by_study: list[list[Found]] = [[] for _ in chosen]
    for (_, size, (_, number, _)), found in zip(tasks, _run_all(tasks, jobs), strict=True):
        by_study[number].append(found)
        done += size
        progress(chosen[number].scenario.name, done / total)
    lines: list[Line] = []
    calm: list[Found] = []
    for study, parts in zip(chosen, by_study, strict=True):
        found = Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        lines.extend(_lines(study, found, suite))
        if study.group == "level" and Requirement("any", "at most", study.scenario.alpha) in study.requirements:
            calm.append(found)
    passed = all(line.passed for line in lines if line.passed is not None)
    return Report(suite, seed, tuple(lines), _achieved(calm, chosen[0].scenario), passed)


Task = tuple[Scenario, int, tuple[int, int, int]]


def _run_all(tasks: list[Task], jobs: int) -> Iterator[Found]:
    if jobs == 1:
        yield from map(_run_one, tasks)
        return
    # Processes are spawned, not forked: the caller may have threads, and a forked copy of their locks can hang.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_run_one, tasks)


def _run_one(task: Task) -> Found:
    scenario, runs, key = task
    return run(scenario, runs, np.random.default_rng(np.random.SeedSequence(key)))


def _runs(study: Study, suite: Suite) -> int:
    return study.quick if suite == "quick" else study.full


def _batches(runs: int) -> list[int]:
    whole, rest = divmod(runs, BATCH)
    return [BATCH] * whole + [rest] * (rest > 0)


def _level() -> Iterator[Study]:
    def study(scenario: Scenario, *, readable: bool = True) -> Study:
        figures: tuple[Figure, ...] = ("value", "any") if readable else ("value",)
        deltas = range(len(scenario.deltas))
        required = tuple(Requirement(figure, "at most", scenario.alpha, d) for figure in figures for d in deltas)
        return Study("level", scenario, 300, 6000, required)

    names = {
        "none": "no change",
        "swap": "items exchange 60 % of their profiles",
        "skewed": "a tenth of the items moves far, the rest back",
        "opposite": "half of a bank each way",
        "collapse": "sharper answers, same mean",
        "jitter": "items wander from observation to observation",
    }
    for change in CHANGES:
        yield study(Scenario(names[change], change=change))
    yield study(Scenario("30 % of the supporting replies lose their stance", lost=(0.3, 0, 0)), readable=False)
    yield study(Scenario('60 % of the neutral replies turn into a bare "no"', lost=(0, 0.6, 0)), readable=False)
    yield study(Scenario("30 % of the opposing replies gain a stance", gained=(0, 0, 0.3)), readable=False)
    yield study(Scenario("draws go to whatever is winning", rule="hot"))
    yield study(Scenario("extended by 20 observations while promising", extended=20))
    yield study(Scenario("rolled back and resumed while promising", rolled_back=True))
    yield study(Scenario("no change, 20 % without a stance", hidden=0.2))
    yield study(Scenario("items exchange profiles, 20 % without a stance", change="swap", hidden=0.2))
    # The true drift is the tolerated one; only the alerts of that tolerance are false.
    boundary = Scenario("every value topic flips by the tolerated 0.03", drift=0.03, drifting=11, pace=0)
    yield Study("level", boundary, 300, 6000, tuple(Requirement(f, "at most", 0.01, 1) for f in ("value", "any")))


def _negative_controls() -> Iterator[Study]:
    fails = (Requirement("value", "above", 0.01),)
    for scenario in (
        Scenario("baseline replies re-used, 4 an item", cheat="reuse"),
        Scenario("the same items and baseline replies at every observation", cheat="panel"),
        Scenario("one constant seed at every observation", cheat="reseed"),
        Scenario("draws without a stance dropped", cheat="drop", lost=(0.3, 0, 0)),
        Scenario("plug-in total variation over its 99 % quantile", cheat="threshold", rule="fixed"),
    ):
        yield Study("negative control", scenario, 200, 500, fails)


def _power() -> Iterator[Study]:
    deltas = (0.0, 0.03, 0.05)

    def cell(name: str, *requirements: Requirement, quick: int = 0, **changed: Any) -> Study:
        return Study("power", Scenario(name, **{"pace": 0, "deltas": deltas, **changed}), quick, 400, requirements)

    found, settled = Requirement("found", "at least", 0.95), Requirement("found specific", "at least", 0.9)
    yield cell("flip 0.05, step", drift=0.05)
    yield cell("flip 0.10, step", found, settled, drift=0.1)
    yield cell("flip 0.15, step", drift=0.15)
    yield cell("flip 0.20, step", found, Requirement("median observation", "no later than", 7), quick=200, drift=0.2)
    opposed = (0.15, 0.25, 0.6)  # enough opposing replies for a flip of 0.40
    yield cell("flip 0.40, step", drift=0.4, shares=opposed)
    for size in (0.05, 0.1, 0.15, 0.2):
        yield cell(f"flip {size:.2f}, ramp", drift=size, pace=8.0)
    yield cell("flip 0.40, ramp", drift=0.4, pace=8.0, shares=opposed)
    for size in (0.05, 0.1):
        yield cell(f"engage {size:.2f}, step", drift=2 * size, source="neutral")
        yield cell(f"engage {size:.2f}, ramp", drift=2 * size, source="neutral", pace=8.0)
    for size in (0.1, 0.2):
        for hidden in (0.1, 0.2, 0.3):
            yield cell(f"flip {size:.2f}, {hidden:.0%} without a stance", drift=size, hidden=hidden)
        for error in (0.1, 0.2, 0.3):
            yield cell(f"flip {size:.2f}, judge right {1 - error:.0%}", drift=size, error=error)
        for normal in (8, 16, 32, 50):
            yield cell(f"flip {size:.2f}, no screen, {normal} draws", drift=size, rule="fixed", normal=normal)
    yield cell("flip 0.20, step at observation 26", drift=0.2, onset=25)
    yield cell("flip 0.10, bank of 150", drift=0.1, bank=150)
    yield cell("flip 0.20 on three topics", drift=0.2, drifting=3)


def _general() -> Iterator[Study]:
    for size, required in ((0.1, (Requirement("specific", "estimate at most", 0.05),)), (0.2, ())):
        scenario = Scenario(f"every topic flips by {size:.2f}", drift=size, drifting=None, pace=0)
        yield Study("general", scenario, 0, 400, required)


def _unprotected() -> Iterator[Study]:
    for share in (0.1, 0.2, 0.3):
        # Equal shares of the replies lose and gain a stance, so neither of the value counts notices anything.
        crossing = Scenario(
            f"{share:.0%} unreadable, first oppose and then support", lost=(share, 0, 0), gained=(0, 0, share)
        )
        yield Study("unprotected", crossing, 0, 400)
    yield Study(
        "unprotected",
        Scenario("the judge begins to misread 5 % of oppose at observation 20", misread=0.05, onset=19),
        0,
        400,
    )


def _lines(study: Study, found: Found, suite: Suite) -> Iterator[Line]:
    scenario = study.scenario
    everywhere = study.group in ("level", "general")
    others = slice(None) if everywhere or not scenario.drift else slice(scenario.drifting, None)
    figures: list[tuple[Figure, int]] = [("value", 0), ("any", 0), ("specific", 0), ("unreadable", 0)]
    figures += [(figure, d) for d in range(1, len(scenario.deltas)) for figure in ("value", "any")]
    if scenario.drift:
        figures += [(figure, d) for d in range(len(scenario.deltas)) for figure in ("found", "median observation")]
        figures += [("found specific", 0), ("median observation specific", 0)]
    for figure, d in figures:
        rate, look = _measured(found, figure, d, others, whole=everywhere)
        required = next((r for r in study.requirements if (r.figure, r.delta) == (figure, d)), None)
        passed = None if required is None else _holds(required, rate, look, suite)
        words = None if required is None else f"{required.rule} {required.bound:g}"
        yield Line(study.group, scenario.name, figure, scenario.deltas[d], rate, look, words, passed)


def _measured(
    found: Found, figure: Figure, delta: int, others: slice, *, whole: bool
) -> tuple[Rate | None, float | None]:
    own = slice(None) if whole else slice(0, 1)
    looks = {
        "any": found.alert_RVD[:, others, delta],
        "value": found.value_RVD[:, others, delta],
        "specific": found.specific_RV[:, others],
        "unreadable": found.unreadable_RV[:, others],
        "found": found.value_RVD[:, own, delta],
        "median observation": found.value_RVD[:, own, delta],
        "found specific": found.specific_RV[:, own],
        "median observation specific": found.specific_RV[:, own],
    }[figure]
    happened = np.asarray((looks > 0).any(1))
    if figure.startswith("median observation"):
        return None, float(np.median(looks[happened].max(1))) if happened.any() else None
    return Rate(int(happened.sum()), len(happened)), None


def _holds(required: Requirement, rate: Rate | None, look: float | None, suite: Suite) -> bool:
    if rate is None:
        return look is not None and look <= required.bound
    if required.rule == "at most":
        return (rate.upper if suite == "full" else rate.lower) <= required.bound
    if required.rule == "above":
        return rate.lower > required.bound
    return rate.value >= required.bound if required.rule == "at least" else rate.value <= required.bound


def _achieved(calm: Iterable[Found], scenario: Scenario) -> dict[float, tuple[Rate, Rate]]:
    calm = list(calm)
    if not calm:
        return {}
    peaks = [np.concatenate(column) for column in zip(*((f.peak_R, f.value_peak_R) for f in calm), strict=True)]
    achieved = {}
    for alpha in ALPHAS:
        threshold = np.log(scenario.settings.num_hypotheses / alpha)
        plain, value = (Rate(int((peak >= threshold).sum()), len(peak)) for peak in peaks)
        achieved[alpha] = (plain, value)
    return achieved


def _flat(rate: Rate) -> dict[str, float]:
    return {"rate": rate.value, "lower": rate.lower, "upper": rate.upper}
