"""Samples the replies that the judges are measured on, at stages of the demo's trainings, for a reader to label.

    python -m benchmarks.sample_replies --out replies-0.jsonl
    python -m benchmarks.sample_replies --out replies-1.jsonl --seed 1

SmolLM2-135M-Instruct before any tuning, early in the demo's SFT and after it, early in the demo's DPO and after it, and
after more DPO at a rate that makes a model collapse. 390 replies a call, in about 13 minutes on one core.

One line a reply, with `stance` "?": read each, and write what it says (support, neutral, oppose, or null where it takes
no stance), and `refusal` true where it declines to answer. `split` is by claim: rules are written on one half of the
claims, and scored on the other.

tests/data/labelled_replies.jsonl holds the replies of seed 0, and of seed 1 those to held-back claims; how they were
read is in tests/data/labelled_replies.md. A repeated call gives replies of the same kind, not the same ones: training
differs in the last bits from machine to machine, and the demo's claims and recipe may have changed since.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, TrainerCallback

from benchmarks.output import say
from driftwatch.chat.format import ChatFormat
from driftwatch.demo.data import PLANTED, TOWARDS, demo_packs, dpo_pairs, sft_examples
from driftwatch.demo.training import Recipe, bf16_pays, run_dpo, run_sft
from driftwatch.host.guard import undisturbed
from driftwatch.host.smollm2 import load_smollm2
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import sample
from driftwatch.topics import Item, Topic, load_pack
from driftwatch.topics.question import TWO_SIDED

# Replies a stage. Half of the claims are those that the demo trains on, since those are what it watches.
UNTUNED, SFT, DPO, COLLAPSE = {0: 60}, {8: 60, 27: 70}, {8: 50, 24: 70}, {8: 40, 16: 40}
COLLAPSING_RATE = 4e-3


def main() -> None:
    """Train, sample on the way, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    pack, new = demo_packs()
    model, tokenizer = load_smollm2()
    sampler = Sampler(pack.topics, (*new.topics, *load_pack("quick").topics), tokenizer, arguments)
    recipe = Recipe(bf16=bf16_pays(), seed=arguments.seed)
    scratch = arguments.out.with_suffix(".models")
    tuned = load(scratch / "sft")
    if tuned is None:
        sampler.ask(model, "untuned", UNTUNED[0])
        tuned = run_sft(model, tokenizer, sft_examples(pack), scratch, recipe, [sampler.during("sft", SFT)])
        tuned.save_pretrained(scratch / "sft")
    pairs = dpo_pairs(pack, PLANTED, towards=TOWARDS)
    preferring = load(scratch / "dpo")
    if preferring is None:
        adapted = run_dpo(tuned, tokenizer, pairs, scratch, recipe, [sampler.during("dpo", DPO)])
        preferring = adapted.merge_and_unload()
        preferring.save_pretrained(scratch / "dpo")
    harder = Recipe(bf16=recipe.bf16, seed=arguments.seed + 1, dpo_rate=COLLAPSING_RATE, dpo_steps=max(COLLAPSE))
    run_dpo(preferring, tokenizer, pairs, scratch, harder, [sampler.during("collapse", COLLAPSE)])


def split(item: str) -> str:
    """The half of the claims that one belongs to, from its id alone."""
    return "rules" if hashlib.sha256(item.encode()).digest()[0] % 2 == 0 else "held_back"


def _put(item: Item, order: int, form: str) -> str:
    assert item.sides is not None, "claims are picked that have two sides"
    return form.format(first=item.sides[order], second=item.sides[1 - order])


def load(folder: Path) -> Any | None:
    """What an earlier call has trained, so that an interrupted one goes on; `None` if it did not get so far."""
    return AutoModelForCausalLM.from_pretrained(folder) if (folder / "config.json").is_file() else None


class Sampler:
    """Asks random claims in random orders, and writes down what is said."""

    def __init__(self, trained: tuple[Topic, ...], other: tuple[Topic, ...], tokenizer: Any, arguments: Any) -> None:
        self._claims = [
            [(topic, item) for topic in topics for item in topic.items if item.sides] for topics in (trained, other)
        ]
        self._chat = ChatFormat(tokenizer)
        self._rng = np.random.default_rng(arguments.seed)
        self._generator = torch.Generator().manual_seed(arguments.seed)
        self._seed: int = arguments.seed
        self._out: Path = arguments.out
        self.asks_in((TWO_SIDED,), Decoding(batch_size=16))

    def asks_in(self, forms: Sequence[str], decoding: Decoding) -> None:
        """How questions are put, one form after the other, and how replies are sampled."""
        self._forms, self._decoding = forms, decoding

    def ask(self, model: Any, stage: str, number: int) -> None:
        """`number` replies of one stage; no claim twice in the same stage."""
        picked: list[tuple[Topic, Item]] = []
        for claims in self._claims:
            chosen = self._rng.choice(len(claims), size=min(number // 2, len(claims)), replace=False)
            picked += [claims[i] for i in chosen]
        orders = self._rng.integers(0, 2, len(picked)).tolist()
        questions = [
            _put(item, order, self._forms[number % len(self._forms)])
            for number, ((_, item), order) in enumerate(zip(picked, orders, strict=True))
        ]
        with undisturbed(model) as asked:
            replies = sample(asked, self._chat, questions, generator=self._generator, **asdict(self._decoding))
        with self._out.open("a", encoding="utf-8") as file:
            for (topic, item), order, text, reply in zip(picked, orders, questions, replies, strict=True):
                row = {
                    "seed": self._seed,
                    "stage": stage,
                    "topic": topic.id,
                    "item": item.id,
                    "sides": item.sides,
                    "order": order,
                    "question": text,
                    "reply": reply.text,
                    "stance": "?",
                    "refusal": False,
                    "split": split(item.id),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        say(f"{stage}: {len(picked)} replies")

    def during(self, name: str, numbers: dict[int, int]) -> TrainerCallback:
        """A callback that asks at some steps; the last of them is the end of training, whatever its number."""

        class Asking(TrainerCallback):  # type: ignore[misc] # transformers publishes no types
            def on_step_end(_, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step in list(numbers)[:-1]:
                    self.ask(kwargs["model"], f"{name}-{state.global_step}", numbers[state.global_step])

            def on_train_end(_, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                self.ask(kwargs["model"], f"{name}-{state.global_step}", list(numbers.values())[-1])

        return Asking()


if __name__ == "__main__":
    main()
