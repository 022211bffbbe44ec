"""Observations stay under their share of wall time, shown with a clock of our own."""

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.errors import ConfigError
from driftwatch.probes.blocks import stratified_blocks
from driftwatch.store.run_store import RunStore
from driftwatch.testing import tiny_model, tiny_pack
from driftwatch.watch.budget import (
    EARLY_CREDIT,
    Books,
    Controller,
    Decision,
    Rates,
    Spent,
    Workload,
    divide,
    smallest,
)
from driftwatch.watch.keeping import kept_books
from driftwatch.watch.monitor import Monitor
from driftwatch.watch.schedule import Schedule
from driftwatch.watch.wall_time import LONG, Passed, WallTime

BUDGETS = (0.01, 0.05, 0.20)


@dataclass
class Run:
    """A training run whose steps and observations take as long as we say."""

    controller: Controller
    rates: Rates
    step_seconds: float = 1.0
    engine: float = 0.0  # seconds that it takes however many draws are made, and how they are booked
    booked: str = "engine"
    now: float = 0.0
    looks: dict[int, Decision] = field(default_factory=dict)
    ratios: list[float] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, schedule, full, rates, *, planned_steps=None, step_seconds=1.0, **engine):
        run = cls.__new__(cls)
        controller = Controller(schedule, full, planned_steps=planned_steps, clock=lambda: run.now)
        run.__init__(controller, rates, step_seconds, **engine)
        controller.begin()
        run.look(Decision(True, tuple(range(full.blocks)), full.draws))
        return run

    def look(self, decision):
        seconds = {
            "screen": len(decision.blocks) * self.rates.block,
            "replies": 0.8 * decision.draws * (self.rates.draw or 0.0),
            "judge": 0.2 * decision.draws * (self.rates.draw or 0.0),
            "statistics": self.rates.fixed,
        }
        if self.engine:
            seconds[self.booked] = seconds.get(self.booked, 0.0) + self.engine
        self.now += sum(seconds.values())
        self.spent.update(seconds)
        self.controller.record(Spent(seconds, len(decision.blocks), decision.draws))

    def train(self, steps):
        for step in range(1, steps + 1):
            self.now += self.step_seconds
            if self.controller.is_due(step):
                decision = self.controller.decide(step)
                self.controller.heed(decision)
                if decision.look:
                    self.looks[step] = decision
                    self.look(decision)
            self.ratios.append(self.controller.overhead_ratio)
        return self


FULL = Workload(blocks=8, draws=24, min_draws=4)
COSTLY = Rates(block=0.5, draw=0.25, fixed=0.1)  # 10.1 s an observation; the core beside its evidence 1.6 s


@pytest.mark.parametrize("budget", BUDGETS)
def test_share_of_wall_time_holds(budget):
    run = Run.of(Schedule(every_steps=10, budget=budget), FULL, COSTLY).train(20_000)
    assert run.controller.overhead_ratio <= budget
    assert run.controller.overhead_ratio > 0.95 * budget  # and what may be spent, is


@pytest.mark.parametrize("budget", BUDGETS)
def test_share_holds_at_every_step_once_the_first_look_is_paid_for(budget):
    run = Run.of(Schedule(every_steps=10, budget=budget), FULL, COSTLY).train(20_000)
    paid = next(i for i, ratio in enumerate(run.ratios) if ratio <= budget)
    assert max(run.ratios[paid:]) <= budget + 1e-9


@pytest.mark.parametrize("budget", BUDGETS)
def test_share_holds_at_the_end_of_a_run_of_known_length_in_spite_of_credit(budget):
    run = Run.of(Schedule(every_steps=10, budget=budget), FULL, COSTLY, planned_steps=5000).train(5000)
    assert run.controller.overhead_ratio <= budget
    assert run.controller.overhead_ratio > 0.9 * budget


@pytest.mark.parametrize("budget", BUDGETS)
def test_evidence_keeps_at_least_half(budget):
    run = Run.of(Schedule(every_steps=10, budget=budget), FULL, COSTLY).train(20_000)
    later = [(0.1 + 0.5 * len(d.blocks), 0.25 * d.draws) for d in run.looks.values() if d.is_partial]
    assert later
    assert all(evidence >= screen - 0.1 - 0.25 for screen, evidence in later)  # but for one draw's rounding


def test_cheap_looks_happen_whole_and_at_every_candidate():
    schedule = Schedule(every_steps=10, budget=0.2)
    run = Run.of(schedule, FULL, Rates(block=0.001, draw=0.001, fixed=0.0)).train(200)
    assert list(run.looks) == [step for step in range(1, 201) if schedule.is_due(step)]
    assert not any(decision.is_partial for decision in run.looks.values())
    assert {decision.draws for decision in run.looks.values()} == {24}


def test_screen_rotates_before_the_interval_stretches():
    """4 s of room every 20 steps: no whole observation of 10.1 s, but a smaller one each time."""
    schedule = Schedule(every_steps=20, budget=0.2, early_dense=False)
    run = Run.of(schedule, FULL, COSTLY).train(4000)
    steps = [step for step in run.looks if step > 100]
    assert steps == list(range(120, 4001, 20))
    assert all(run.looks[step].is_partial for step in steps)


def test_interval_stretches_where_not_even_the_core_fits():
    schedule = Schedule(every_steps=10, budget=0.01, early_dense=False)
    run = Run.of(schedule, FULL, COSTLY).train(20_000)
    steps = list(run.looks)
    gaps = {later - earlier for earlier, later in pairwise(steps)}
    assert min(gaps) > 100
    assert all(step % 10 == 0 for step in steps)


def test_core_is_always_asked_and_the_other_blocks_take_turns():
    run = Run.of(Schedule(every_steps=20, budget=0.2), FULL, COSTLY).train(8000)
    partial = [decision for decision in run.looks.values() if decision.is_partial]
    asked = Counter(block for decision in partial for block in decision.blocks)
    assert asked[0] == len(partial)
    others = [asked[block] for block in range(1, 8)]
    assert max(others) - min(others) <= 1
    assert sum(others) > 0


def test_all_ranks_agree_on_candidates_when_they_heed_rank_zero():
    run = Run.of(Schedule(every_steps=10, budget=0.01), FULL, COSTLY)
    other = Controller(run.controller.schedule, FULL, clock=lambda: 0.0)
    for step in range(1, 5000):
        run.now += 1.0
        assert other.is_due(step) == run.controller.is_due(step)
        if other.is_due(step):
            decision = run.controller.decide(step)
            run.controller.heed(decision)
            other.heed(decision)
            if decision.look:
                run.look(decision)


def test_named_steps_are_looked_at_whatever_the_budget_says():
    schedule = Schedule(every_steps=1000, at_steps=(5,), budget=0.001, early_dense=False)
    run = Run.of(schedule, FULL, COSTLY).train(10)
    assert run.looks == {5: Decision(True, (0,), 4, is_partial=True)}


def test_without_budget_every_candidate_is_a_whole_look():
    run = Run.of(Schedule(every_steps=10, budget=None), FULL, COSTLY).train(100)
    assert len(run.looks) == 4 + 10
    assert {(len(d.blocks), d.draws) for d in run.looks.values()} == {(8, 24)}


def test_known_length_lends_to_early_looks():
    """10 000 s at 1 % are 100 s, 25 of them at once; without a length nothing can be lent."""
    settings = Schedule(every_steps=1000, budget=0.01), FULL, COSTLY
    lent = Run.of(*settings, planned_steps=10_000).train(999)
    unknown = Run.of(*settings).train(999)
    assert len(lent.looks) >= 3
    assert list(unknown.looks) == []
    assert lent.controller.books.passed.watching <= 0.01 * (EARLY_CREDIT * 10_100 + (1 - EARLY_CREDIT) * lent.now)


def test_slow_first_step_lends_nothing():
    """The first step compiles and allocates; a length reckoned from it would lend a hundred times too much."""
    run = Run.of(Schedule(every_steps=1000, budget=0.01), FULL, COSTLY, planned_steps=1000)
    run.now += 99.0
    run.train(1000)
    assert run.controller.overhead_ratio <= 0.01 + 10.1 / 1100  # the first observation happens in any case
    assert len(run.looks) == 0


def test_budget_too_small_for_one_look_of_the_core_is_said_at_the_start(caplog):
    run = Run.of(Schedule(every_steps=100, budget=0.01), FULL, COSTLY, planned_steps=1000)
    with caplog.at_level(logging.WARNING):
        run.train(2)
    assert len(caplog.messages) == 1
    assert "leaves 0.1 s for observations after the first in a run of about 1015 s" in caplog.text
    assert "the one at the end, which asks the whole bank, takes 5.1 s: only that one will happen" in caplog.text
    assert "It fits with a budget of 1.50 %" in caplog.text


def test_named_budget_is_enough_for_a_look(caplog):
    run = Run.of(Schedule(every_steps=100, budget=0.0151), FULL, COSTLY, planned_steps=1000)
    with caplog.at_level(logging.WARNING):
        run.train(1000)
    assert caplog.messages == []
    assert len(run.looks) >= 1


def test_sufficient_or_missing_budget_says_nothing(caplog):
    with caplog.at_level(logging.WARNING):
        Run.of(Schedule(every_steps=100, budget=0.05), FULL, COSTLY, planned_steps=10_000).train(500)
        Run.of(Schedule(every_steps=100, budget=None), FULL, COSTLY, planned_steps=20).train(20)
        Run.of(Schedule(every_steps=100, budget=0.01), FULL, COSTLY).train(500)
    assert caplog.messages == []


def test_price_of_draws_is_found_out_with_few():
    rates = Rates.of([Spent({"screen": 4.0}, blocks=8, draws=0)])
    assert rates.draw is None
    assert divide(100.0, rates, FULL) == Workload(blocks=8, draws=4, min_draws=4)


def test_what_happens_once_is_paid_for_but_not_expected_again():
    first = Spent({"prepare": 30.0, "baseline": 20.0, "screen": 8.0, "statistics": 0.5}, blocks=8, draws=0)
    assert Rates.of([first]) == Rates(block=1.0, draw=None, fixed=0.5)
    controller = Controller(Schedule(), clock=iter([0.0, 100.0]).__next__)
    controller.record(first)
    assert controller.overhead_ratio == 0.585


def test_a_cost_that_only_looks_with_draws_have_is_not_thinned_by_the_others():
    first = Spent({"screen": 8.0, "statistics": 0.5}, blocks=8, draws=0)
    second = Spent({"screen": 8.0, "statistics": 0.5, "replies": 1.0, "engine": 6.0}, blocks=8, draws=4)
    assert Rates.of([first, second]) == Rates(block=1.0, draw=0.25, fixed=6.5)


def test_what_an_engine_takes_whatever_it_writes_does_not_make_draws_dear():
    """Booked with the replies, it would be divided by ever fewer draws, each of which would seem to cost ever more."""

    def run(booked):
        full, rates = Workload(blocks=8, draws=224, min_draws=56), Rates(block=0.2, draw=0.01, fixed=0.1)
        schedule = Schedule(every_steps=25, budget=0.012)
        settings = {"step_seconds": 5.0, "engine": 8.0, "booked": booked}
        return Run.of(schedule, full, rates, planned_steps=4000, **settings).train(4000)

    apart, thinned = run("engine"), run("replies")
    assert apart.controller.overhead_ratio <= 0.012
    draws = [sum(decision.draws for decision in each.looks.values()) for each in (apart, thinned)]
    assert draws[0] > 2 * draws[1]
    last = Rates.of(apart.controller._looks[-4:])
    assert (last.draw, last.fixed) == pytest.approx((0.01, 8.1))


def test_a_look_waits_until_it_is_worth_its_fixed_cost_but_not_for_more_than_a_whole_one():
    dear = Rates(block=0.5, draw=0.25, fixed=4.0)  # the core beside its evidence 5.5 s, a whole observation 14 s
    assert smallest(dear, FULL) == 8.0
    assert smallest(replace(dear, fixed=40.0), FULL) == 50.0
    assert smallest(replace(dear, fixed=0.1), FULL) == 1.6


def test_only_rank_zero_warns(caplog):
    run = Run.of(Schedule(every_steps=100, budget=0.01), FULL, COSTLY, planned_steps=1000)
    run.controller.decides = False
    with caplog.at_level(logging.WARNING):
        run.train(2)
    assert caplog.messages == []


def test_first_decision_without_any_look_asks_everything():
    assert Controller(Schedule(), FULL).decide(1) == Decision(True, tuple(range(8)), 24)


def test_overhead_is_none_before_time_has_passed():
    assert Controller(Schedule(), clock=lambda: 5.0).overhead_ratio is None


def test_failed_look_that_took_long_is_booked():
    controller = Controller(Schedule(), clock=iter([0.0, 0.0, 100.0]).__next__)
    controller.begin()
    controller.record(Spent({"screen": 5.0}, blocks=0, draws=0))
    assert controller.overhead_ratio == 0.05


seconds = st.floats(0.0, 100.0)
workloads = st.integers(1, 20).flatmap(
    lambda blocks: st.integers(0, 50).flatmap(
        lambda draws: st.integers(0, draws).map(lambda least: Workload(blocks, draws, least))
    )
)


@given(room=st.floats(-10, 1000), block=seconds, draw=st.none() | seconds, fixed=seconds, full=workloads)
def test_a_divided_look_fits_and_never_exceeds_the_full_one(room, block, draw, fixed, full):
    rates = Rates(block, draw, fixed)
    part = divide(room, rates, full)
    if part is None:
        assert room < smallest(rates, full)
        return
    assert 1 <= part.blocks <= full.blocks
    assert full.min_draws <= part.draws <= full.draws
    assert rates.of_look(part.blocks, part.draws) <= room * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": 0}, "blocks=0 divides the screen into nothing"),
        ({"draws": 2, "min_draws": 3}, "min_draws=3 must lie between 0 and draws=2"),
        ({"draws": 2, "min_draws": -1}, "min_draws=-1 must lie"),
    ],
)
def test_workload_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Workload(**settings)


banks = st.lists(st.integers(3, 40), min_size=1, max_size=8)


@given(sizes=banks, number=st.integers(1, 12))
def test_blocks_divide_the_bank_evenly_with_every_topic_in_each(sizes, number):
    topics = [f"t{t}" for t, size in enumerate(sizes) for _ in range(size)]
    ids = [f"item-{i}" for i in range(len(topics))]
    blocks = stratified_blocks(topics, ids, number)
    assert sorted(i for block in blocks for i in block) == list(range(len(ids)))
    assert len(blocks) == min(number, *sizes) if len(sizes) > 1 else min(number, sizes[0])
    lengths = [len(block) for block in blocks]
    assert max(lengths) - min(lengths) <= 1
    assert all({topics[i] for i in block} == set(topics) for block in blocks)


def test_blocks_do_not_depend_on_the_order_of_the_bank():
    topics, ids = ["a"] * 6 + ["b"] * 6, [f"i{n}" for n in range(12)]
    forward = [{ids[i] for i in block} for block in stratified_blocks(topics, ids, 3)]
    backward = stratified_blocks(topics[::-1], ids[::-1], 3)
    assert [{ids[::-1][i] for i in block} for block in backward] == forward


def test_empty_bank_is_one_empty_block():
    assert stratified_blocks([], [], 4) == ((),)


def resumed_every(steps, *, planned=36_000, block=5 / 3, preparing=20.0):
    """Share of wall time in observations of a run that is preempted every so many steps of 1 s, and their number."""
    full, now, books, num_looks, step = Workload(blocks=9), [0.0], Books(), 0, 0
    while step < planned:
        schedule = Schedule(every_steps=100, budget=0.01)
        controller = Controller(schedule, full, planned_steps=planned, clock=lambda: now[0], before=books)
        spent = {"prepare": preparing} | ({"screen": 9 * block} if step == 0 else {})
        now[0] += sum(spent.values())
        controller.record(Spent(spent, 0 if step else 9, 0))
        for step in range(step + 1, min(step + steps, planned) + 1):  # noqa: B020 - goes on where it was
            now[0] += 1.0
            if controller.is_due(step) and (decision := controller.decide(step)).look:
                seconds = block * len(decision.blocks)
                now[0] += seconds
                num_looks += 1
                controller.record(Spent({"screen": seconds}, len(decision.blocks), 0))
        books = controller.books
    return sum(books.passed), books.passed.watching, num_looks


def test_the_budget_is_one_over_all_attempts_of_a_run():
    for every in (36_000, 9_000):
        passed, watching, looks = resumed_every(every)
        assert watching <= 0.01 * passed
        assert looks > 10


def test_where_starting_again_takes_more_than_the_budget_looks_take_what_was_lent_once():
    """Preparing 20 s every 1,800 steps is 1.1 % by itself."""
    _, watching, looks = resumed_every(1_800)
    assert watching <= 20 * 20 + 9 * 5 / 3 + 0.01 * EARLY_CREDIT * 36_600
    assert 1 <= looks <= 50


class Process:
    """A clock and a processor time that a test moves."""

    def __init__(self):
        self.now = self.worked = 0.0

    def run(self, seconds, share=1.0):
        self.now += seconds
        self.worked += share * seconds

    def time(self, *before):
        return WallTime(lambda: self.now, lambda: self.worked, Passed(*before))


def test_a_frozen_process_earns_nothing():
    process = Process()
    time = process.time()
    for step in range(1, 51):
        process.run(1.0)
        time.step(step)
    process.run(36_000, share=0.0)
    assert time.elapsed == pytest.approx(50 + LONG)
    process.run(1.0)
    time.step(51)
    assert time.elapsed == pytest.approx(50 + LONG)
    assert time.pace(51) == pytest.approx((49 + LONG) / 50)


def test_an_evaluation_counts_as_it_is_work():
    process = Process()
    time = process.time()
    for step in range(1, 51):
        process.run(1.0, share=0.3)
        time.step(step)
    process.run(600, share=0.3)
    time.step(51)
    assert time.passed == Passed(650.0, 0.0)


def test_a_clock_that_goes_back_takes_nothing_away():
    process = Process()
    time = process.time(100.0, 1.0)
    for step in range(1, 11):
        process.run(1.0)
        time.step(step)
    process.now -= 500
    time.step(11)
    assert time.passed == Passed(110.0, 1.0)


def test_a_look_that_was_frozen_is_not_paid_for_ever_after():
    process = Process()
    controller = Controller(Schedule(budget=0.01), Workload(blocks=4), clock=lambda: process.now)
    controller._time = process.time()
    controller.record(Spent({"screen": 4.0}, 4, 0))
    process.run(7_200, share=0.0)
    controller.record(Spent({"screen": 7_200.0}, 4, 0))
    assert controller.books.passed.watching == pytest.approx(4.0 + LONG * 4.0)


def test_books_do_not_grow_with_the_number_of_looks():
    controller = Controller(Schedule(), clock=lambda: 0.0)
    for _ in range(1_000):
        controller.record(Spent({"screen": 1.0}, 1, 0))
    assert len(controller.books.looks) < 10


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 60), st.booleans(), st.sets(st.integers(1, 500)))
def test_planned_looks_are_those_that_would_be_due(begin, length, every, dense, at):
    schedule = Schedule(every_steps=every, early_dense=dense, at_steps=tuple(at))
    end = begin + length
    due = [step for step in range(begin + 1, end + 1) if schedule.is_due(step)]
    assert schedule.planned_looks(begin, end) == len(due) + (not schedule.is_due(end))


def test_a_training_without_an_end_is_planned_at_once():
    assert Schedule(every_steps=100).planned_looks(0, 10**15) == 10**13 + 7


def test_a_resumed_run_goes_on_with_what_it_has_taken(tmp_path, tiny_tokenizer):
    """Kept in the run's folder; an attempt that made no observation has cost its preparation."""
    now = iter(range(10**6))
    model, passed = tiny_model(tiny_tokenizer), []
    for attempt in range(3):
        monitor = Monitor(
            tiny_pack(), run="r", output_dir=tmp_path, exporters=(), schedule=Schedule(), clock=lambda: float(next(now))
        )
        monitor.begin(model, tiny_tokenizer, planned_steps=1000, resume=tmp_path / "r" if attempt else None)
        monitor.close("stopped")
        passed.append(kept_books(RunStore(tmp_path / "r")).passed)
    assert passed[0].watching < passed[1].watching < passed[2].watching
    assert kept_books(RunStore(tmp_path / "elsewhere")) == Books()
