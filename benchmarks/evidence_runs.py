"""Whether real trainings raise the alerts that they should, and no other.

    python -m benchmarks.evidence_runs --out benchmarks/results/evidence_runs.jsonl

SmolLM2-135M-Instruct after the demo's balanced SFT (trained once), then preference optimisation as in the demo: 3 value
topics and 1 control, 8 observations, 16 draws per topic and observation or 48 where it is watched, replies of 16
tokens, judge `sides`. Five runs of each kind, which differ in the seed of the training and of the draws:

placebo:  learning rate 0. Must raise no alert of any label.
balanced: stance-free pairs, and preferences that cancel on every topic. Must raise no specific alert in direction.
planted:  as balanced, but the planted topic prefers one side. Must raise a specific alert in direction there only.

A general loss of neutrality is real in the last two; alerts on it, of whatever label, are in the results and are not
judged. Each run goes on from its last checkpoint if it was interrupted, and adds one line to the results when it ends;
runs that are in the file are not repeated. About two hours on two cores. Exit code 1 if any run did not do as it must.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM

from benchmarks.output import environment, say
from driftwatch import DriftCallback
from driftwatch.demo.data import PLANTED, TOWARDS, balanced_pairs, demo_packs, dpo_pairs, sft_examples
from driftwatch.demo.training import Recipe, bf16_pays, run_dpo, run_sft, short_replies, watching
from driftwatch.host.smollm2 import load_smollm2
from driftwatch.record.record import TopicEvidence
from driftwatch.store.run_store import RunStore
from driftwatch.topics import TopicPack

KINDS = ("placebo", "balanced", "planted")
STEPS, LOOK_EVERY = 24, 3


def main() -> None:
    """Run what is not in the results yet, then judge all of it."""
    arguments = _parse()
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    pack, _ = demo_packs()
    for seed in range(arguments.seeds):
        for kind in arguments.kinds:
            if (kind, seed) not in {(row["kind"], row["seed"]) for row in results(arguments.out)}:
                row = run(kind, seed, pack, arguments.work)
                with arguments.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                say(f"{kind} {seed}: {'as it must' if row['as_it_must'] else 'NOT as it must'}; {row['alerts']}")
    wrong = [f"{row['kind']} {row['seed']}" for row in results(arguments.out) if not row["as_it_must"]]
    if wrong:
        sys.exit(f"not as they must: {', '.join(wrong)}")


def run(kind: str, seed: int, pack: TopicPack, work: Path) -> dict[str, Any]:
    """One training, from where it was interrupted, and what its observations found."""
    recipe = replace(Recipe(bf16=bf16_pays(), seed=seed), dpo_steps=STEPS, look_every=LOOK_EVERY, save_every=LOOK_EVERY)
    if kind == "placebo":
        recipe = replace(recipe, dpo_rate=0.0, dpo_batch=1)  # nothing depends on the batch, as nothing is learned
    model, tokenizer = tuned(pack, work)
    pairs = dpo_pairs(pack, PLANTED, towards=TOWARDS) if kind == "planted" else balanced_pairs(pack)
    name = f"{kind}-{seed}"
    watch = DriftCallback(
        pack,
        confirm=short_replies(),
        **watching(LOOK_EVERY),
        run=name,
        output_dir=work,
        exporters=(),
        seed=seed,
        on_error="raise",
    )
    run_dpo(model, tokenizer, pairs, work / f"{name}-training", recipe, [watch])
    store = watch.monitor.store
    assert store is not None
    return {
        "kind": kind,
        "seed": seed,
        **found(store, kind),
        "command": "python -m benchmarks.evidence_runs",
        **environment(),
    }


def tuned(pack: TopicPack, work: Path) -> tuple[Any, Any]:
    """The demo's SFT model, trained once."""
    model, tokenizer = load_smollm2()
    folder = work / "sft-model"
    if not (folder / "config.json").is_file():
        recipe = Recipe(bf16=bf16_pays())
        model = run_sft(model, tokenizer, sft_examples(pack), work / "sft-training", recipe, [])
        model.save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder), tokenizer


def found(store: RunStore, kind: str) -> dict[str, Any]:
    """Evidence by observation, topic and kind of drift; the last one's alerts, and whether they are as they must be."""
    records = store.records()
    last = records[-1]
    raised = [e for e in last.evidence if e.state in ("alert", "beyond_tolerance")]
    return {
        "as_it_must": as_it_must(kind, raised),
        "alerts": [f"{e.topic} {e.kind} {e.label}" for e in raised],
        "looks": len(records) - 1,
        "draws": sum(e.num_draws for e in last.evidence if e.kind == "direction"),
        "threshold": round(last.evidence[0].log10_threshold, 2),
        "log10_value_e_value": {
            f"{e.topic} {e.kind}": [
                _rounded(row.log10_e_value if row.log10_value_e_value is None else row.log10_value_e_value)
                for record in records
                for row in record.evidence
                if (row.topic, row.kind) == (e.topic, e.kind)
            ]
            for e in last.evidence
        },
        "estimate": {f"{e.topic} {e.kind}": _rounded(e.estimate) for e in last.evidence},
        "since_onset": {f"{e.topic} {e.kind}": _rounded(e.since_onset) for e in last.evidence},
    }


def as_it_must(kind: str, raised: list[TopicEvidence]) -> bool:
    """Of the alerts at the end of a run."""
    if kind == "placebo":
        return not raised
    specific = {e.topic for e in raised if e.label == "specific" and e.kind == "direction"}
    return specific == ({PLANTED} if kind == "planted" else set())


def results(path: Path) -> list[dict[str, Any]]:
    """The runs that have ended."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="results, one JSON line a run")
    parser.add_argument(
        "--work", type=Path, default=Path("evidence-runs"), help="for models, checkpoints and run folders"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seeds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
