"""scenario: many simulated trainings at once, watched by the production code.

A scenario says how the model changes and how it is watched. `run` replays it on synthetic banks and calls
`evidence.advance`, `verdict.labels` and `verdict.allocated`, the very functions that a real run calls. `proof` has
suites of scenarios, with what each must show.

Shape letters: R runs, T topics (V values, then C controls), M items, N draws, K kinds.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.outcome import NOT_DRAWN, NUM_OUTCOMES, Outcome, tally
from driftwatch.evidence import state as evidence
from driftwatch.evidence import verdict
from driftwatch.evidence.power import NOMINAL_SHARES
from driftwatch.evidence.state import Evidence, Settings
from driftwatch.simulation import bank as synthetic
from driftwatch.simulation.bank import Change, Floats, Ints
from driftwatch.stance import STANCES

Cheat = Literal["reuse", "panel", "reseed", "drop", "threshold"]
Rule = Literal["screen", "fixed", "hot"]

SCREEN_GAIN = 0.6  # share of the true shift that the simulated screen sees
SCREEN_NOISE = 0.012  # standard deviation of the noise that it sees besides
SCREEN_WATCH = 0.04  # a topic is watched from this shift on
REPEATED = 5  # observations that a rolled-back run repeats
PROMISING = 5.0  # evidence from which on an adversary extends a run, or rolls it back to try again
POOL = 4  # baseline replies per item for the negative controls "reuse" and "panel"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of training, and how it is watched.

    Attributes:
        change: Change of items within banks, which leaves the banks' means where they are.
        lost: Shares of the replies of true support, neutral and oppose that lose their stance by the end.
        gained: Shares of the replies of true support, neutral and oppose that have no stance at the baseline and take
            one by the end.
        drift: Probability that moves to support on each drifting topic; for a flip it is the mean of the direction
            draws.
        source: The stance that loses: "oppose" for a flip, "neutral" to engage. Engaging lowers neutral by `drift` and
            raises direction by half of it.
        drifting: Number of drifting topics, counted from the first; `None` means every topic, controls included.
        pace: Number of observations until 63 % of a change has happened; 0 makes it a step.
        onset: Number of observations before any change.
        misread: Share of the replies of true oppose that the judge reads as support after `onset`, which breaks an
            assumption of the test.
        hidden: Share of replies without a stance throughout.
        error: One minus the judge's accuracy on replies that it classifies.
        rule: How draws are given out: "screen" goes by screen and evidence, "fixed" always gives `normal`, and "hot"
            gives many to topics whose evidence is winning.
        extended: Most observations beyond the plan, which a run gets while its evidence is promising.
        rolled_back: Whether runs whose evidence is promising at observation 15 or 25 go back five observations and
            repeat them.
        shares: Mean of support, neutral and oppose over the items at the baseline.
        cheat: The assumption of the test that is broken on purpose; `None` breaks none.
        looks: Number of planned observations.
        values: Number of value topics.
        controls: Number of control topics.
        bank: Number of items per topic.
        normal: Number of draws of a topic that is not watched.
        closer: Number of draws of a watched topic.
        alpha: Probability of any false alert in a run.
        deltas: Tolerated drifts.
    """

    name: str
    change: Change = "none"
    lost: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gained: tuple[float, float, float] = (0.0, 0.0, 0.0)
    drift: float = 0.0
    source: Literal["oppose", "neutral"] = "oppose"
    drifting: int | None = 1
    pace: float = 8.0
    onset: int = 0
    misread: float = 0.0
    hidden: float = 0.02
    error: float = 0.0
    rule: Rule = "screen"
    extended: int = 0
    rolled_back: bool = False
    cheat: Cheat | None = None
    shares: tuple[float, float, float] = NOMINAL_SHARES
    looks: int = 40
    values: int = 11
    controls: int = 3
    bank: int = 50
    normal: int = 16
    closer: int = 48
    alpha: float = 0.01
    deltas: tuple[float, ...] = (0.0, 0.03)

    @property
    def is_still(self) -> bool:
        """Whether the model stays as it was."""
        moves = self.drift or self.misread or any(self.lost) or any(self.gained)
        return self.change == "none" and not moves

    @property
    def settings(self) -> Settings:
        """The settings of the test, as they are when the run begins."""
        values = tuple(f"value{i}" for i in range(self.values))
        controls = tuple(f"control{i}" for i in range(self.controls))
        return Settings(values, controls, self.looks, alpha=self.alpha, deltas=self.deltas)


class Found(NamedTuple):
    """What each run found. Observations count from 1, 0 means never, and the earlier kind counts for a topic.

    Attributes:
        alert_RVD: Observation of the first alert of any label, for each tolerated drift.
        value_RVD: Observation of the first value alert, for each tolerated drift.
        specific_RV: First observation at which a value alert was labelled specific.
        unreadable_RV: First observation at which an alert was labelled unreadable.
        peak_R: Largest plain evidence on any value topic at any observation, natural log.
        value_peak_R: Largest evidence that both the plain and the value counts reach, natural log.
    """

    alert_RVD: Ints
    value_RVD: Ints
    specific_RV: Ints
    unreadable_RV: Ints
    peak_R: Floats
    value_peak_R: Floats


def run(scenario: Scenario, runs: int, rng: np.random.Generator) -> Found:
    """What many simulated trainings find under one scenario.

    Args:
        scenario: How the model changes and is watched.
        runs: Number of trainings, all at once; about 100 fit a processor's cache.
        rng: Source of all randomness of all runs.
    """
    if scenario.cheat == "threshold":
        return _plug_in(scenario, runs, rng)
    training = _Training(scenario, runs, rng)
    state = evidence.begin(scenario.settings, (runs,))
    specific, unreadable = np.zeros((runs, scenario.values), int), np.zeros((runs, scenario.values), int)
    peak, value_peak = np.zeros(runs), np.zeros(runs)
    while training.goes_on(state):
        state = evidence.advance(state, *training.look(state))
        found = verdict.labels(state)
        for first, mask in ((specific, found.specific), (unreadable, found.unreadable)):
            first[mask.any(-1) & (first == 0)] = state.look
        plain, both = _largest(state)
        peak, value_peak = np.maximum(peak, plain), np.maximum(value_peak, both)
    return Found(
        _earliest(state.alert_look_VDK), _earliest(state.value_look_VDK), specific, unreadable, peak, value_peak
    )


class _Training:
    """Models in training, observation by observation, and the draws that are asked of them."""

    def __init__(self, scenario: Scenario, runs: int, rng: np.random.Generator) -> None:
        self._scenario, self._rng, self._runs = scenario, rng, runs
        self._num_topics = scenario.values + scenario.controls
        self._bank = synthetic.new_bank(rng, runs, self._num_topics, scenario.bank, scenario.shares)
        self._mean_RTS = self._bank.probs_RTMS.mean(2)
        hidden = scenario.hidden + np.array(scenario.gained)
        self._before = synthetic.read(self._bank.probs_RTMS, error=scenario.error, hidden_RTMS=hidden)
        self._time_R = np.zeros(runs, int)
        self._screened_RT = np.zeros((runs, self._num_topics), bool)
        self._source = STANCES.index(scenario.source)
        self._mass_RTM = None
        if scenario.drift:
            self._mass_RTM = self._bank.drift_mass(scenario.drift, slice(scenario.drifting), self._source)
        # Negative controls re-use baseline replies, or items as well.
        self._pool = self._panel = None
        if scenario.cheat in ("reuse", "panel"):
            items = np.arange(scenario.bank).repeat(POOL) * np.ones((runs, self._num_topics, 1), int)
            self._pool = synthetic.replies(rng, self._before, items, np.ones(items.shape, bool))
        if scenario.cheat == "panel":
            self._panel = rng.integers(0, scenario.bank, (runs, self._num_topics, scenario.normal))

    def goes_on(self, state: Evidence) -> bool:
        """Whether any run still has observations to come; runs that are rolled back go back here first."""
        if self._scenario.rolled_back and state.look in (15, 25):
            self._time_R = self._time_R - REPEATED * (_largest(state)[0] >= np.log(PROMISING))
        return bool(self._is_active(state).any())

    def look(self, state: Evidence) -> tuple[Ints, Ints]:
        """The outcomes of the draws after one more stretch of training: now and baseline, each of shape (R, T, N)."""
        scenario, active_R = self._scenario, self._is_active(state)
        rng = np.random.default_rng(1) if scenario.cheat == "reseed" else self._rng
        draws_RT = self._draws(state) * active_R[:, None]
        probs_RTMS, now = self._model()
        items_RTN = self._panel
        if items_RTN is None:
            width = (
                scenario.closer if scenario.cheat == "reseed" else draws_RT.max()
            )  # constant numbers need a constant shape
            items_RTN = rng.integers(0, scenario.bank, (*draws_RT.shape, width))
        drawn_RTN = np.arange(items_RTN.shape[-1]) < draws_RT[..., None]
        outcomes = synthetic.replies(rng, now, items_RTN, drawn_RTN)
        baseline = self._baseline(rng, items_RTN, drawn_RTN)
        if scenario.cheat == "drop":
            unread = (outcomes == Outcome.UNREAD) | (baseline == Outcome.UNREAD)
            outcomes = np.where(unread, NOT_DRAWN, outcomes)
        self._screened_RT = self._screen(probs_RTMS)
        self._time_R = self._time_R + active_R
        return outcomes, baseline

    def _is_active(self, state: Evidence) -> NDArray[np.bool_]:
        scenario = self._scenario
        is_planned = self._time_R < scenario.looks
        if not scenario.extended:
            return is_planned
        promising = _largest(state)[0] >= np.log(PROMISING)
        return np.asarray(is_planned | (self._time_R < scenario.looks + scenario.extended) & promising)

    def _amount(self) -> Floats:
        elapsed = self._time_R + 1.0 - self._scenario.onset
        if self._scenario.pace == 0:
            return np.where(elapsed > 0, 1.0, 0.0)
        return np.asarray(np.where(elapsed > 0, -np.expm1(-np.maximum(elapsed, 0) / self._scenario.pace), 0.0))

    def _model(self) -> tuple[Floats, Floats]:
        """The true stances now, and what the judge would report of them, shapes (R, T, M, S)."""
        scenario, amount_R = self._scenario, self._amount()
        if scenario.is_still:
            return self._bank.probs_RTMS, self._before
        probs = self._bank.changed(scenario.change, amount_R, self._rng)
        if self._mass_RTM is not None:
            probs = synthetic.drifted(probs, self._mass_RTM, amount_R, self._source)
        shown = probs
        if scenario.misread:
            taken = scenario.misread * (amount_R > 0)[:, None, None] * probs[..., 2]
            shown = probs + taken[..., None] * np.array([1.0, 0.0, -1.0])
        amount = amount_R[:, None, None, None]
        hidden = scenario.hidden + np.array(scenario.lost) * amount + np.array(scenario.gained) * (1 - amount)
        return probs, synthetic.read(shown, error=scenario.error, hidden_RTMS=hidden)

    def _draws(self, state: Evidence) -> Ints:
        scenario = self._scenario
        if scenario.rule == "fixed" or self._panel is not None:
            return np.full((self._runs, self._num_topics), scenario.normal)
        if scenario.rule == "hot":
            winning = (state.figures.plain_TDK[..., 0, :] > 0).any(-1)
            return np.where(winning, scenario.closer, scenario.normal // 4)
        return verdict.allocated(state, self._screened_RT, normal=scenario.normal, closer=scenario.closer)

    def _baseline(self, rng: np.random.Generator, items_RTN: Ints, drawn_RTN: NDArray[np.bool_]) -> Ints:
        if self._pool is None:
            return synthetic.replies(rng, self._before, items_RTN, drawn_RTN)
        which = rng.integers(0, POOL, items_RTN.shape) if self._panel is None else 0
        return np.where(drawn_RTN, np.take_along_axis(self._pool, items_RTN * POOL + which, -1), NOT_DRAWN)

    def _screen(self, probs_RTMS: Floats) -> NDArray[np.bool_]:
        now_RTS = self._mean_RTS if probs_RTMS is self._bank.probs_RTMS else probs_RTMS.mean(2)
        shift = SCREEN_GAIN * (now_RTS - self._mean_RTS)
        seen = shift + self._rng.normal(0, SCREEN_NOISE, shift.shape)
        return np.asarray(np.abs(seen).max(-1) >= SCREEN_WATCH)


def _plug_in(scenario: Scenario, runs: int, rng: np.random.Generator) -> Found:
    """Negative control: an alert where an observation's plug-in total variation passes its 99 % quantile without drift.

    The quantile is that of the first observation of all runs, so a single test is exact. What this rule ignores is that
    there are many observations and topics.
    """
    training, state = _Training(scenario, runs, rng), evidence.begin(scenario.settings, (runs,))
    looks = []
    for _ in range(scenario.looks):
        now, baseline = training.look(state)
        shares = [tally(side, NUM_OUTCOMES)[:, : scenario.values] / scenario.normal for side in (now, baseline)]
        looks.append(np.abs(shares[0] - shares[1]).sum(-1) / 2)
    total_variation_LRV = np.stack(looks)
    is_above = total_variation_LRV > np.quantile(total_variation_LRV[0], 0.99)
    first_RV = np.where(is_above.any(0), is_above.argmax(0) + 1, 0)
    first_RVD = np.repeat(first_RV[..., None], len(scenario.deltas), -1)
    never = np.zeros_like(first_RV)
    return Found(first_RVD, first_RVD, never, never, np.zeros(runs), np.zeros(runs))


def _largest(state: Evidence) -> tuple[Floats, Floats]:
    """Largest plain evidence over value topics and kinds, and the largest that plain and value counts both reach."""
    num_values = len(state.settings.topics)
    plain = state.figures.plain_TDK[:, :num_values, 0]
    both = np.minimum(plain, state.figures.value_TDK[:, :num_values, 0])
    return plain.max((1, 2)), both.max((1, 2))


def _earliest(look_RVDK: Ints) -> Ints:
    """The first observation over both kinds; 0 means never."""
    never = np.iinfo(int).max
    first = np.where(look_RVDK > 0, look_RVDK, never).min(-1)
    return np.where(first == never, 0, first)
