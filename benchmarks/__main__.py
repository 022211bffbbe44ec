"""All benchmarks, and the table that the README quotes.

    python -m benchmarks [NAME ...]

Each runs in a process of its own; what they print goes to standard error, the table to standard output.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

Result = dict[str, Any]

ROWS: dict[str, list[tuple[str, Callable[[Result], str]]]] = {
    "probe_vs_lm_eval": [
        (
            "speed against lm-evaluation-harness",
            lambda r: f"{r['speedup_median']:.1f} × (median of {r['speedup_all']})",
        ),
        ("token positions, naive / computed / unique", lambda r: " / ".join(f"{r[f'tokens_{k}']:,}" for k in _TOKENS)),
        ("largest difference of a log-likelihood", lambda r: f"{r['max_abs_diff']:.1e} nats"),
    ],
    "probe_vs_generation": [
        ("speed against 5 sampled replies an item", lambda r: f"{r['speedup_item_by_item']:.0f} ×"),
        ("the same, all replies in one batch", lambda r: f"{r['speedup_one_batch']:.0f} ×"),
    ],
    "probe_scaling": [
        ("cost of an item, largest against smallest bank", lambda r: f"{r['growth']['item']:.2f} ×"),
        ("cost of a continuation, most against fewest", lambda r: f"{r['growth']['continuation']:.2f} ×"),
        ("cost of a gigaflop, widest against narrowest", lambda r: f"{r['growth']['gigaflop']:.2f} ×"),
    ],
    "overhead": [
        ("callback on steps without an observation", lambda r: f"{r['callback_share']:.4%} of the step"),
        ("runs with against without, difference", lambda r: f"{r['paired_difference_percent']} %"),
        (
            "budget kept on real DPO",
            lambda r: "{looks} observations, {overhead_ratio:.1%} of {budget:.0%}".format(**r["controller_real"]),
        ),
    ],
    "trials": [
        (
            "trials at the start, in steps of 16 pairs × 512 tokens: screen, replies",
            lambda r: f"{r['screen_in_steps']:.2f}, {r['replies_in_steps']:.2f}",
        ),
    ],
    "observation": [
        ("an observation of core, in steps of 16 pairs × 512 tokens", lambda r: f"{r['look_in_steps']:.1f}"),
        ("steps between looks at 1 %", lambda r: f"{r['steps_between_looks_at_1_percent']:,}"),
        ("seconds for replies, by batch size", lambda r: f"{r['replies']}: {r['reply_seconds_by_batch_size']}"),
    ],
}
_TOKENS = ("naive", "computed", "unique")


def main() -> None:
    """Run what is asked for, or everything, and print the table; fails if a benchmark does."""
    names = sys.argv[1:] or list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        sys.exit(f"no benchmark named {unknown[0]!r}; there are: {', '.join(ROWS)}")
    results, failed = {}, []
    for name in names:
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, text=True)
        print(done.stdout, file=sys.stderr, end="", flush=True)
        if done.returncode:
            failed.append(name)
        # One that measured, and then found a promise broken, has its row all the same.
        if (lines := done.stdout.strip().splitlines()) and lines[-1].startswith("{"):
            results[name] = json.loads(lines[-1])
    print("\n".join(table(results)))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def table(results: dict[str, Result]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| what | figure | command |", "|---|---|---|"]
    for name, result in results.items():
        lines += [f"| {what} | {figure(result)} | `python -m benchmarks.{name}` |" for what, figure in ROWS[name]]
    where = next((result["where"] for result in results.values()), None)
    return [*lines, "", f"Measured on {where}."] if where else lines


if __name__ == "__main__":
    main()
