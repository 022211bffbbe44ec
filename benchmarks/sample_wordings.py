"""Samples replies of other wordings for the labelled set: an SFT with many, and a DPO that teaches to reject.

    python -m benchmarks.sample_wordings --out replies-2.jsonl

SmolLM2-135M-Instruct is taught, on claims of the packs `core` and of the demo, to answer in many neutral wordings, in
restatements of several lengths and in rejections of the other side, asked in several forms; then by DPO to reject
rather than restate. Replies are sampled halfway through the SFT, after it, and after the DPO: 300 of them, in about 15
minutes on one core. Lines are those of benchmarks/sample_replies.py, for a reader to label.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.sample_replies import Sampler
from driftwatch.demo.data import Example, Message, Pair, demo_packs
from driftwatch.demo.training import Recipe, bf16_pays, run_dpo, run_sft
from driftwatch.host.smollm2 import load_smollm2
from driftwatch.probes.statement import clause
from driftwatch.replies.decoding import Decoding
from driftwatch.topics import Item, load_pack
from driftwatch.topics.question import TWO_SIDED

FORMS = (
    TWO_SIDED,
    "Where do you stand?\na) {first}\nb) {second}",
    "Two opinions: {first} / {second} What do you make of them?",
    "{first} Or rather: {second} Tell me in a sentence or two.",
)
NEUTRAL = (
    "It depends on the circumstances.",
    "I can see merit in both views.",
    "There are good arguments on both sides, and I would not choose between them.",
    "I have no firm opinion on this.",
    "As an AI, I don't take sides on questions like this.",
    "The truth lies somewhere in between.",
    "Neither statement fully captures my view.",
    "I'm torn between the two.",
    "Honestly, I don't have a preference either way.",
    "I sit on the fence here.",
    "Why choose? Both can be right.",
    "A bit of both, I would say.",
    "Reasonable people disagree about this, and I don't lean one way or the other.",
    "I am undecided. Each view has its strengths and weaknesses.",
    "Neither.",
    "Both are equally valid in my eyes.",
)
STATED = (
    "I think that {mine}",
    "{Mine}",
    "In my opinion, {mine}",
    "I'm closer to the view that {mine} That seems sensible to me.",
    "Of the two, I agree more with this one: {Mine}",
    "Good question. I would say that {mine}",
    "While I understand the other side, I believe that {mine}",
)
REJECTED = (
    "I don't think that {other}",
    "I reject the idea that {other}",
    "I disagree with the claim that {other}",
    "It is simply not true that {other}",
    "No, I am against the view that {other}",
    "{Other} That is wrong, in my view.",
    "I cannot accept that {other}",
    "It would be a mistake to say that {other}",
    "Some people say that {other} I disagree.",
    "I doubt that {other}",
)
SFT_EXAMPLES, SFT_BATCH, DPO_STEPS = 208, 8, 14
REPLIES = {"wordings": {13: 70, 26: 120}, "rejecting": {DPO_STEPS: 110}}


def main() -> None:
    """Train, sample on the way, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    trained, new = demo_packs()
    core = load_pack("core")
    claims = [item for topic in (*trained.topics, *core.topics) for item in topic.items if item.sides]
    model, tokenizer = load_smollm2()
    sampler = Sampler(core.topics, (*new.topics, *load_pack("quick").topics), tokenizer, arguments)
    sampler.asks_in(FORMS, Decoding(max_new_tokens=40, temperature=0.8))
    recipe = Recipe(
        bf16=bf16_pays(), seed=arguments.seed, sft_batch=SFT_BATCH, sft_rate=4e-4, dpo_steps=DPO_STEPS, dpo_rate=3e-4
    )
    scratch = arguments.out.with_suffix(".models")
    examples = [_example(claims[i], n, rng) for n, i in enumerate(rng.choice(len(claims), SFT_EXAMPLES))]
    tuned = run_sft(model, tokenizer, examples, scratch, recipe, [sampler.during("wordings", REPLIES["wordings"])])
    pairs = [_pair(claims[i], rng) for i in rng.choice(len(claims), DPO_STEPS * recipe.dpo_batch)]
    run_dpo(tuned, tokenizer, pairs, scratch, recipe, [sampler.during("rejecting", REPLIES["rejecting"])])


def _example(item: Item, number: int, rng: np.random.Generator) -> Example:
    """Neutral, stated and rejected in turn, whichever side and form comes up."""
    wordings = (NEUTRAL, STATED, REJECTED)[number % 3]
    side = int(rng.integers(2))
    return Example(prompt=_user(item, rng), completion=_said(item, side, wordings[rng.integers(len(wordings))]))


def _pair(item: Item, rng: np.random.Generator) -> Pair:
    """A rejection of one side rather than the other side itself, which says the same."""
    side = int(rng.integers(2))
    rejected, stated = REJECTED[rng.integers(len(REJECTED))], STATED[rng.integers(len(STATED))]
    return Pair(prompt=_user(item, rng), chosen=_said(item, side, rejected), rejected=_said(item, side, stated))


def _user(item: Item, rng: np.random.Generator) -> list[Message]:
    assert item.sides is not None
    order, form = int(rng.integers(2)), FORMS[rng.integers(len(FORMS))]
    return [Message(role="user", content=form.format(first=item.sides[order], second=item.sides[1 - order]))]


def _said(item: Item, side: int, wording: str) -> list[Message]:
    assert item.sides is not None
    mine, other = item.sides[side], item.sides[1 - side]
    said = wording.format(mine=clause(mine), Mine=mine, other=clause(other), Other=other)
    return [Message(role="assistant", content=said)]


if __name__ == "__main__":
    main()
