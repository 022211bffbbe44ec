"""Budget: how much an observation may cost, so that all of them stay within their share of wall time.

The schedule names candidate steps, the same on every rank. At a candidate, `Controller.decide` says on rank 0 whether
the budget allows an observation, with how much of the screen and how many evidence draws; that decision is broadcast,
and every rank calls `heed` with it.

The screen is divided into blocks of equal size, each with items of every topic (`probes.blocks`). Block 0 is the
core, asked at every observation; the others take turns when the budget does not allow all of them. A block is never
divided, so that a question always stands in the same batch and numeric noise does not look like drift.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from driftwatch.errors import ConfigError
from driftwatch.watch.schedule import Schedule
from driftwatch.watch.wall_time import Passed, WallTime

logger = logging.getLogger(__name__)

# The part of a run's whole allowance that may be spent before the wall time that pays for it has passed, because drift
# comes early. Chosen: a run that stops at a tenth of its planned length has then used 3.25 times its share, and one
# that ends as planned has kept to it.
EARLY_CREDIT = 0.25
# Evidence draws keep at least this part of what an observation may cost, or all they want if that is less.
EVIDENCE_SHARE = 0.5
# An observation's fixed cost may be at most this part of its whole cost, unless it asks everything. If an observation
# came as soon as its fixed cost is affordable, nothing would be left to ask with.
FIXED_SHARE = 0.5
# Stages of a start only: their time is counted, but no later observation will need it.
ONCE = frozenset({"prepare", "baseline"})
# Stages that grow with what is asked.
SCALING = frozenset({"screen", "replies", "judge"})
# Number of observations whose costs predict the next one's. Few: prompts stay the same, and a machine's load does not.
_MEMORY = 4


@dataclass(frozen=True, slots=True)
class Workload:
    """What an observation asks when nothing is left out.

    Attributes:
        blocks: Number of blocks of the screen, 1 or more; the core is one of them.
        draws: Evidence draws wanted; 0 if no replies are drawn.
        min_draws: Evidence draws without which an observation is postponed, in [0, draws].
    """

    blocks: int = 1
    draws: int = 0
    min_draws: int = 0

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ConfigError(f"blocks={self.blocks} divides the screen into nothing; give 1 or more.")
        if not 0 <= self.min_draws <= self.draws:
            raise ConfigError(f"min_draws={self.min_draws} must lie between 0 and draws={self.draws}.")


@dataclass(frozen=True, slots=True)
class Spent:
    """What one observation took.

    Attributes:
        seconds: Seconds by stage. "screen", "replies" and "judge" scale with the work; "prepare" and "baseline" happen
            once; every other stage, such as "engine", counts as a fixed cost of an observation.
        blocks: Blocks of the screen that were asked.
        draws: Evidence draws that were made; where the baseline is asked as well, its reply is part of the draw.
    """

    seconds: Mapping[str, float]
    blocks: int
    draws: int

    @property
    def total(self) -> float:
        """All stages, in seconds."""
        return sum(self.seconds.values())

    @property
    def evidence(self) -> float:
        """Seconds for replies and for judging them."""
        return self.seconds.get("replies", 0.0) + self.seconds.get("judge", 0.0)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do at a candidate step; plain data that is broadcast to all ranks.

    Attributes:
        look: Whether to observe now.
        blocks: Blocks of the screen to ask, the core (0) first; empty without an observation.
        draws: Evidence draws to make.
        not_before: The first step at which it is worth deciding again.
        is_partial: Whether part of the screen is left out; such an observation is marked in its record.
    """

    look: bool
    blocks: tuple[int, ...] = ()
    draws: int = 0
    not_before: int = 0
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Rates:
    """What an observation costs on this machine, in seconds.

    Attributes:
        block: Seconds per block of the screen.
        draw: Seconds per evidence draw, sampled and judged; `None` before any was made.
        fixed: Seconds that do not grow with the work; each stage is averaged over the observations that had it.
    """

    block: float
    draw: float | None
    fixed: float

    @classmethod
    def of(cls, looks: Sequence[Spent]) -> "Rates":
        """Mean rates over some observations, at least one."""
        num_blocks = sum(look.blocks for look in looks)
        num_draws = sum(look.draws for look in looks)
        screen = sum(look.seconds.get("screen", 0.0) for look in looks)
        evidence = sum(look.evidence for look in looks)
        besides: dict[str, list[float]] = {}
        for look in looks:
            for stage, seconds in look.seconds.items():
                if stage not in SCALING | ONCE:
                    besides.setdefault(stage, []).append(seconds)
        fixed = sum(sum(each) / len(each) for each in besides.values())
        return cls(screen / max(1, num_blocks), evidence / num_draws if num_draws else None, fixed)

    def of_look(self, blocks: int, draws: int) -> float:
        """Expected seconds of an observation with so many blocks and draws."""
        return self.fixed + blocks * self.block + draws * (self.draw or 0.0)


def divide(room: float, rates: Rates, full: Workload) -> Workload | None:
    """The observation that fits: as much screen as fits beside the evidence, then as many draws as fit.

    Args:
        room: Seconds that the observation may take.
        rates: What blocks and draws cost.
        full: The observation without a limit.

    Returns:
        The workload that fits, or `None` if not even `smallest` does.

    >>> divide(10.0, Rates(block=1.0, draw=0.25, fixed=0.0), Workload(blocks=8, draws=24, min_draws=4))
    Workload(blocks=5, draws=20, min_draws=4)
    """
    if room < smallest(rates, full):
        return None
    room -= rates.fixed
    draw = rates.draw or 0.0
    for_screen = max(room * (1 - EVIDENCE_SHARE), room - full.draws * draw)
    for_screen = min(for_screen, room - full.min_draws * draw)
    blocks = max(1, min(full.blocks, _fits(for_screen, rates.block)))
    if rates.draw is None:
        return replace(full, blocks=blocks, draws=full.min_draws)  # the cost of a draw is unknown: measure it with few
    draws = max(full.min_draws, min(full.draws, _fits(room - blocks * rates.block, draw)))
    return replace(full, blocks=blocks, draws=draws)


def smallest(rates: Rates, full: Workload) -> float:
    """Seconds below which no observation is made: the core and its evidence must fit and be worth the fixed cost."""
    wanted = full.draws * (rates.draw or 0.0)
    beside = min(rates.block / (1 - EVIDENCE_SHARE), rates.block + wanted)
    worth = min(rates.of_look(full.blocks, full.draws), rates.fixed / FIXED_SHARE)
    return max(rates.of_look(1, full.min_draws), rates.fixed + beside, worth)


def _fits(room: float, each: float) -> int:
    """How often `each` goes into `room`."""
    # The factor absorbs rounding: ten times 0.1 fits into 1.
    times = room / each * (1 + 1e-9) if each > 0 else math.inf
    return max(0, math.floor(min(times, sys.maxsize)))


@dataclass(frozen=True, slots=True)
class Books:
    """Time that a run has taken so far, kept in its folder, since one budget holds over all its attempts.

    Attributes:
        passed: Seconds of training and of watching.
        looks: What the latest observations took; by these a resumed run knows what the next one will take.
    """

    passed: Passed = field(default_factory=Passed)
    looks: tuple[Spent, ...] = ()


@dataclass(slots=True)
class Controller:
    """Keeps a schedule's observations within its budget. Rank 0 decides; the other ranks only `heed`.

    The share holds over the whole run, not for each observation: time that a quiet stretch leaves over pays for the
    next observation. If the length of the run is known, a part of its allowance (`EARLY_CREDIT`) may be spent ahead of
    time on early observations. The budget holds over all attempts of a run, and pauses of the process earn no
    allowance (`wall_time`).

    Attributes:
        schedule: Candidate steps and the budget.
        full: An observation without a limit.
        planned_steps: The optimizer step at which the run will end; `None` if unknown.
        clock: Returns monotonic seconds.
        decides: Whether this is rank 0, which decides and warns.
        before: Time that earlier attempts of the run took.
    """

    schedule: Schedule
    full: Workload = field(default_factory=Workload)
    planned_steps: int | None = None
    clock: Callable[[], float] = time.monotonic
    decides: bool = True
    before: Books = Books()
    _time: WallTime = field(init=False)
    _looks: list[Spent] = field(init=False)
    _not_before: int = field(default=0, init=False)
    _turn: int = field(default=0, init=False)
    _has_warned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._time = WallTime(self.clock, before=self.before.passed)
        self._looks = list(self.before.looks)

    def begin(self) -> None:
        """Start the clock, before the first observation."""
        self._time = WallTime(self.clock, before=self.before.passed)

    @property
    def books(self) -> Books:
        """The time that the run has taken so far, for an attempt that goes on with it."""
        return Books(self._time.passed, tuple(self._looks))

    def is_due(self, step: int) -> bool:
        """Whether `decide` must be called; the same on every rank, without communication.

        Call this after every step, because these calls also measure the pace of training.
        """
        self._time.step(step)
        if self.decides and not self._has_warned and self._looks and self.step_seconds(step) is not None:
            self._warn_if_too_small(step)
        return step in self.schedule.at_steps or (self.schedule.is_due(step) and step >= self._not_before)

    def decide(self, step: int, *, is_last: bool = False) -> Decision:
        """Whether to observe at this step, and how much to ask; on rank 0 only.

        Before the first observation there are no costs to go by, so the whole screen is asked.

        Args:
            step: A candidate step.
            is_last: Whether training is over. Then an observation is made in any case and asks the whole screen, since
                the next stage of training is compared with it; of draws it makes what the budget has left, or else
                the fewest.
        """
        full, schedule = self.full, self.schedule
        if schedule.budget is None or not self._looks:
            return Decision(True, tuple(range(full.blocks)), full.draws)
        rates = Rates.of(self._looks)
        room = self.room(step)
        if schedule.is_early(step):
            # Leave something to the early observations still to come, unless that would leave too little for each.
            room /= max(1, min(schedule.num_early_from(step), _fits(room, smallest(rates, full))))
        fitting = divide(room, rates, full)
        if fitting is None and (is_last or step in schedule.at_steps):
            fitting = replace(full, blocks=1, draws=full.min_draws)
        if fitting is not None and is_last:
            fitting = replace(fitting, blocks=full.blocks)
        if fitting is None:
            return Decision(False, not_before=self._affordable_from(step, rates))
        is_partial = fitting.blocks < full.blocks
        return Decision(True, self._blocks(fitting.blocks), fitting.draws, is_partial=is_partial)

    def heed(self, decision: Decision) -> None:
        """Follow what rank 0 decided; on every rank."""
        self._not_before = decision.not_before
        if decision.is_partial:
            self._turn += len(decision.blocks) - 1

    def record(self, spent: Spent) -> None:
        """Count what an observation took, the first one included, even if it failed half-way."""
        asked = not ONCE.issuperset(spent.seconds)
        known = Rates.of(self._looks) if asked and self._looks else None
        self._time.watched(spent.total, None if known is None else known.of_look(spent.blocks, spent.draws))
        # The time to prepare another attempt says nothing about what an observation takes.
        if asked or not self._looks:
            self._looks = [*self._looks[1 - _MEMORY :], spent]

    def room(self, step: int) -> float:
        """Seconds that an observation begun now may take, negative after overspending; infinite without a budget.

        With S spent, W passed, b the budget, and κ of the run's expected length T lent, an observation of c seconds
        must keep S + c ≤ b (κT + (1 - κ)(W + c)). S also counts the smallest observation at the end of training, which
        happens in any case.
        """
        budget = self.schedule.budget
        if budget is None:
            return math.inf
        elapsed = self._time.elapsed
        credit, expected = 0.0, 0.0
        if self.planned_steps is not None and (pace := self.step_seconds(step)) is not None:
            credit, expected = EARLY_CREDIT, elapsed + pace * max(0, self.planned_steps - step)
        allowance = budget * (credit * expected + (1 - credit) * elapsed)
        return (allowance - self._time.passed.watching - self._last_look(step)) / (1 - budget * (1 - credit))

    def _last_look(self, step: int) -> float:
        """Fewest seconds that the observation at the end of training will take; 0 once it is no longer to come."""
        if self.planned_steps is None or step >= self.planned_steps or not self._looks:
            return 0.0
        return self._whole()

    def _whole(self) -> float:
        """Seconds of an observation of the whole screen with the fewest draws."""
        return Rates.of(self._looks).of_look(self.full.blocks, self.full.min_draws)

    def is_over(self, step: int) -> bool:
        """Whether training ends with this step, as far as is known."""
        return self.planned_steps is not None and step >= self.planned_steps

    def step_seconds(self, step: int) -> float | None:
        """Mean seconds of a training step, without observations; `None` before two steps have ended."""
        return self._time.pace(step)

    @property
    def overhead_ratio(self) -> float | None:
        """Share of the run's wall time that driftwatch took, in [0, 1]; `None` before any time has passed."""
        passed = self._time.passed
        return min(1.0, passed.watching / sum(passed)) if sum(passed) > 0 else None

    def _blocks(self, number: int) -> tuple[int, ...]:
        """The core, and some of the other blocks, which take turns so that each is asked equally often."""
        others = self.full.blocks - 1
        return (0, *sorted(1 + (self._turn + i) % others for i in range(number - 1)))

    def _affordable_from(self, step: int, rates: Rates) -> int:
        """The first step at which the core may fit, by the pace so far; the one after `step` if that says nothing."""
        budget, pace = self.schedule.budget, self.step_seconds(step)
        if budget is None or not pace:
            return step + 1
        missing = smallest(rates, self.full) - self.room(step)
        # Each step adds at most this much room, so the core cannot fit earlier; to decide once too often costs nothing.
        then = step + max(1, math.floor(missing / (pace * budget / (1 - budget))))
        # The last step is never skipped: no time has to be left there for a later observation.
        return then if self.planned_steps is None or step >= self.planned_steps else min(then, self.planned_steps)

    def _warn_if_too_small(self, step: int) -> None:
        """Warn once, as soon as the pace of training is known, if no further observation fits into this run."""
        self._has_warned = True
        budget, pace = self.schedule.budget, self.step_seconds(step)
        if budget is None or pace is None or self.planned_steps is None:
            return
        whole = self._whole()
        length = self._time.elapsed + pace * max(0, self.planned_steps - step) + whole
        spent = self._time.passed.watching
        left = budget * length - spent
        if left < whole:
            logger.warning(
                "The budget of %.2f %% leaves %.1f s for observations after the first in a run of about %.0f s, "
                "and the one at the end, which asks the whole bank, takes %.1f s: only that one will happen, and "
                "exceed the budget. It fits with a budget of %.2f %%; or ask a smaller pack.",
                100 * budget,
                max(0.0, left),
                length,
                whole,
                100 * (spent + whole) / length,
            )
