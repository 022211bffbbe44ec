"""The engine against lm-evaluation-harness: the same prompts and continuations, alternating in one process.

    python -m benchmarks.probe_vs_lm_eval --pairs 3

Needs the extra `bench`. Both get the same token ids and the same weights; the harness gets the batch size that is
fastest for it among those of `--batch-sizes`, found before the clock starts. Planning is not timed: it happens once a
run, and an observation happens many times.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.bank import screen_requests
from benchmarks.clock import Timed, timed
from benchmarks.models import NAMES, describe, load
from benchmarks.output import emit, say
from driftwatch.scoring.score import Request, plan, score


def main() -> None:
    """Time both, compare their numbers, print one JSON line."""
    arguments = _parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.model)
    requests = screen_requests(tokenizer, arguments.pack, arguments.prompts)
    harness = Harness(model, tokenizer, requests)
    batch_size = harness.fastest_batch_size(arguments.batch_sizes)
    planned = plan(requests, model)
    say(
        f"{len(requests)} prompts, {sum(len(r.continuations) for r in requests)} continuations; path={planned.path}; "
        f"lm-eval with batch_size={batch_size}"
    )
    pairs = [_pair(harness, lambda: np.concatenate(score(model, planned)[0]), turn) for turn in range(arguments.pairs)]
    speedups = [slow.wall / fast.wall for slow, fast in pairs]
    emit(
        "probe_vs_lm_eval",
        {
            "speedup_median": round(statistics.median(speedups), 3),
            "speedup_all": [round(speedup, 3) for speedup in speedups],
            "speedup_cpu_median": round(statistics.median(slow.cpu / fast.cpu for slow, fast in pairs), 3),
            "max_abs_diff": max(float(np.abs(slow.result - fast.result).max()) for slow, fast in pairs),
            "tokens_naive": planned.tokens_naive,
            "tokens_computed": planned.tokens_computed,
            "tokens_unique": planned.tokens_unique,
            "ratio_naive_unique": round(planned.tokens_naive / planned.tokens_unique, 3),
            "seconds_lm_eval": [round(slow.wall, 2) for slow, _ in pairs],
            "seconds_driftwatch": [round(fast.wall, 2) for _, fast in pairs],
            "pack": arguments.pack,
            "prompts": len(requests),
            "continuations": sum(len(r.continuations) for r in requests),
            "lm_eval_batch_size": batch_size,
            "path": planned.path,
            "model": describe(model),
        },
    )


def _pair(harness: "Harness", engine: Callable[[], Any], turn: int) -> tuple[Timed, Timed]:
    """Both once; whoever goes second finds warm caches, so they take turns."""
    if turn % 2 == 0:
        slow, fast = timed(harness.run), timed(engine)
    else:
        fast, slow = timed(engine), timed(harness.run)
    say(
        f"pair {turn + 1}: lm-eval {slow.wall:.2f} s (CPU {slow.cpu:.2f}), driftwatch {fast.wall:.2f} s "
        f"(CPU {fast.cpu:.2f})"
    )
    return slow, fast


class Harness:
    """The loglikelihood engine of lm-evaluation-harness, fed with token ids."""

    def __init__(self, model: Any, tokenizer: Any, requests: list[Request]) -> None:
        try:
            from lm_eval.models.huggingface import HFLM
        except ImportError as err:
            raise SystemExit("This benchmark needs the harness: pip install driftwatch-trl[bench]") from err
        self._lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
        # Its public entry takes texts and tokenizes them in its own way; this one is what that entry calls next.
        self._asked = [
            ((str(i), str(c)), list(request.prompt), list(tokens))
            for i, request in enumerate(requests)
            for c, tokens in enumerate(request.continuations)
        ]

    def run(self) -> np.ndarray:
        """Log-likelihood of every continuation."""
        with torch.no_grad():
            return np.array([found for found, _ in self._lm._loglikelihood_tokens(self._asked, disable_tqdm=True)])

    def fastest_batch_size(self, candidates: list[int]) -> int:
        """Tried on every eighth continuation, and set."""
        everything, self._asked = self._asked, self._asked[::8]
        seconds = {}
        for size in candidates:
            self._lm.batch_size_per_gpu = size
            seconds[size] = timed(self.run).cpu
        self._asked = everything
        self._lm.batch_size_per_gpu = min(seconds, key=seconds.__getitem__)
        say(f"lm-eval by batch size, seconds for an eighth: { ({k: round(v, 2) for k, v in seconds.items()}) }")
        return int(self._lm.batch_size_per_gpu)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="how often both are timed")
    parser.add_argument("--pack", default="quick")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--model", default="smollm2", choices=NAMES)
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; its own choice when 0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
