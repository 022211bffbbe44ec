"""What driftwatch costs a training run.

    python -m benchmarks.overhead

1. On steps without an observation: the time inside our callback, measured directly, over the time of a step. Must be
  0.2 % at
   most. The paired difference of whole runs with and without the callback is printed with its interval; it is the noise
   of the machine, and nothing is asserted about it.
2. The controller with an injected clock, at budgets of 1, 5 and 20 %: must keep each.
3. The controller on real DPO with a 12-item pack and a budget of 20 %.

What an observation itself takes is measured by `benchmarks.observation`.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import timed
from benchmarks.dpo import Stopwatch, small_pack, train
from benchmarks.models import NAMES, describe, load
from benchmarks.output import emit, say
from driftwatch import DriftCallback, Schedule
from driftwatch.watch.budget import Controller, Spent, Workload

LIMIT = 0.002
NEVER = Schedule(every_steps=10**9, early_dense=False)


class Meter(DriftCallback):
    """Times its own `on_step_end`, apart from observations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.without_look: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """As the original, timed."""
        looks = self.monitor.progress["look"]
        run = timed(lambda: super(Meter, self).on_step_end(*args, **kwargs))
        if self.monitor.progress["look"] == looks:
            self.without_look.append(run.wall)


def main() -> None:
    """Measure the three, print one JSON line, fail where a promise is broken."""
    arguments = _parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        bench = Overhead(model, tokenizer, Path(folder))
        quiet = bench.steps_without_looks(arguments.pairs, arguments.steps)
        simulated = {f"{budget:.0%}": simulate(budget) for budget in (0.01, 0.05, 0.20)}
        say(f"controller with an injected clock: {simulated}")
        real = bench.controller(budget=0.2, steps=arguments.controller_steps)
    controllers = {"controller_simulated": simulated, "controller_real": real}
    emit("overhead", {**quiet, **controllers, "model": describe(model)})
    broken = [name for name, found in simulated.items() if found["overhead_ratio"] > found["budget"]]
    if quiet["callback_share"] > LIMIT or broken:
        sys.exit(
            f"expected at most {LIMIT:.1%} on steps without an observation and every budget kept; see the line above"
        )


class Overhead:
    """The measurements that need a model."""

    def __init__(self, model: Any, tokenizer: Any, folder: Path) -> None:
        self._model, self._tokenizer, self._folder = model, tokenizer, folder

    def steps_without_looks(self, pairs: int, steps: int) -> dict[str, Any]:
        """The callback's own time, and the difference of whole runs, alternating which comes first."""
        own: list[float] = []
        step_seconds: list[float] = []
        differences = []
        for pair in range(pairs):
            meter = self._callback(Meter, NEVER, f"quiet-{pair}")
            both = [lambda: self._run([], steps), lambda meter=meter: self._run([meter], steps)]
            order = [0, 1] if pair % 2 == 0 else [1, 0]
            seconds = {which: both[which]() for which in order}
            own += meter.without_look
            step_seconds.append(seconds[1] / steps)
            differences.append(100 * (seconds[1] / seconds[0] - 1))
            say(f"pair {pair + 1}: {seconds[0]:.2f} s without, {seconds[1]:.2f} s with the callback, {steps} steps")
        return {
            "callback_share": sum(own) / len(own) / statistics.mean(step_seconds),
            "callback_microseconds": round(1e6 * statistics.mean(own), 1),
            "step_seconds": round(statistics.mean(step_seconds), 4),
            "paired_difference_percent": interval(differences),
        }

    def controller(self, budget: float, steps: int) -> dict[str, Any]:
        """A real run whose observations must keep to a budget."""
        callback = self._callback(DriftCallback, Schedule(every_steps=5, budget=budget), "controller")
        self._run([callback], steps)
        last = callback.monitor.last
        assert last is not None
        looks = callback.monitor.progress["look"]
        ratio = last.cost.overhead_ratio
        say(f"controller on real DPO: budget {budget:.0%}, {looks} observations in {steps} steps took {ratio:.1%}")
        return {"budget": budget, "overhead_ratio": ratio, "looks": looks, "steps": steps}

    def _callback(self, kind: Callable[..., Any], schedule: Schedule, run: str) -> Any:
        return kind(small_pack(12), schedule=schedule, run=run, output_dir=self._folder, exporters=(), on_error="raise")

    def _run(self, callbacks: list[Any], steps: int) -> float:
        watch = Stopwatch()
        train(self._model, self._tokenizer, self._folder, [*callbacks, watch], steps=steps, pairs=1, tokens=None)
        return watch.seconds


def simulate(budget: float, steps: int = 20_000) -> dict[str, Any]:
    """A run on an injected clock: steps of 1 s, observations of 30 s of screen in 8 blocks and 20 s of evidence."""
    now = [0.0]
    full = Workload(blocks=8, draws=200, min_draws=28)
    schedule = Schedule(every_steps=50, budget=budget)
    controller = Controller(schedule, full=full, planned_steps=steps, clock=lambda: now[0])
    controller.begin()
    looks = 0

    def look(blocks: int, draws: int) -> None:
        seconds = {"screen": 30 * blocks / full.blocks, "replies": 20 * draws / full.draws, "statistics": 0.05}
        now[0] += sum(seconds.values())
        controller.record(Spent(seconds, blocks, draws))

    look(full.blocks, 0)
    for step in range(1, steps + 1):
        now[0] += 1.0
        if controller.is_due(step):
            decision = controller.decide(step)
            controller.heed(decision)
            if decision.look:
                looks += 1
                look(len(decision.blocks), decision.draws)
    return {"budget": budget, "overhead_ratio": round(controller.overhead_ratio or 0.0, 5), "looks": looks}


def interval(values: list[float]) -> dict[str, float]:
    """Mean and 95 % interval by Student's t."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return {"mean": round(mean, 2)}
    # Two-sided 97.5 % quantiles of Student's t by degrees of freedom.
    t = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}.get(len(values) - 1, 2.2)
    half = t * statistics.stdev(values) / len(values) ** 0.5
    return {"mean": round(mean, 2), "lower": round(mean - half, 2), "upper": round(mean + half, 2)}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4, help="runs with and without the callback")
    parser.add_argument("--steps", type=int, default=15, help="training steps of each of them")
    parser.add_argument("--controller-steps", type=int, default=150)
    parser.add_argument("--model", default="smollm2", choices=NAMES)
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; its own choice when 0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
