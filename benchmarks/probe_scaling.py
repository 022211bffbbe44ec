"""How the cost of an observation grows: with the bank's items, a question's continuations, the model's width.

    python -m benchmarks.probe_scaling

Randomly initialised Llamas with the vocabulary of SmolLM2: what is timed does not depend on the weights. The cost of an
item must fall or stay flat as the bank grows, that of a continuation as questions get more of them, and that of the
arithmetic (a gigaflop) as the model gets wider. The script fails where one of them grows by more than `--tolerance`.
Costs are seconds of CPU time, or of the clock where there is a CUDA device.
"""

import argparse
import statistics
import sys
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from benchmarks.bank import request, two_sided_items
from benchmarks.clock import timed
from benchmarks.output import emit, say
from driftwatch.chat.format import ChatFormat
from driftwatch.host.smollm2 import smollm2_path
from driftwatch.scoring.score import Plan, Request, plan, score
from driftwatch.topics import Item

Row = dict[str, Any]


def main() -> None:
    """Measure the three, print one JSON line, fail where a cost grows."""
    arguments = _parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path())
    scaling = Scaling(ChatFormat(tokenizer), len(tokenizer), max(arguments.items), arguments.repeats)
    rows = {
        "item": [scaling.items(count) for count in arguments.items],
        "continuation": [scaling.continuations(count) for count in arguments.continuations],
        "gigaflop": [scaling.width(width) for width in arguments.widths],
    }
    growth = {name: round(found[-1]["cost"] / found[0]["cost"], 3) for name, found in rows.items()}
    emit("probe_scaling", {"growth": growth, "cost_unit": "milliseconds", **rows})
    if too_much := {name: factor for name, factor in growth.items() if factor > 1 + arguments.tolerance}:
        sys.exit(f"expected each cost to fall or stay flat within {arguments.tolerance:.0%}; found {too_much}")


class Scaling:
    """The three measurements, each a row with the cost of one unit in milliseconds."""

    def __init__(self, encoder: ChatFormat, vocabulary: int, most_items: int, repeats: int) -> None:
        self._encoder = encoder
        self._vocabulary = vocabulary
        self._bank = enlarged(list(two_sided_items("core")), most_items)
        self._repeats = repeats

    def items(self, count: int) -> Row:
        """A bank of some size, every answer of the screen, both orders."""
        model = llama(128, self._vocabulary)
        requests = [request(self._encoder, item, order) for item in self._bank[:count] for order in (0, 1)]
        return self._row({"items": count}, plan(requests, model), model, units=count)

    def continuations(self, count: int) -> Row:
        """Questions with some number of answers: those of the item itself and of the next ones."""
        model = llama(128, self._vocabulary)
        answers = [tokens for item in self._bank for tokens in request(self._encoder, item, 0).continuations]
        requests = [
            Request(request(self._encoder, item, 0).prompt, tuple(answers[10 * i : 10 * i + count]))
            for i, item in enumerate(self._bank[:40])
        ]
        return self._row({"continuations": count}, plan(requests, model), model, units=40 * count)

    def width(self, width: int) -> Row:
        """A model of some width; a unit is a gigaflop of its matrix products."""
        model = llama(width, self._vocabulary)
        requests = [request(self._encoder, item, 0) for item in self._bank[:40]]
        planned = plan(requests, model)
        weights = sum(weight.numel() for weight in model.parameters() if weight.dim() == 2)
        return self._row({"width": width}, planned, model, units=2 * weights * planned.tokens_computed / 1e9)

    def _row(self, what: Row, planned: Plan, model: Any, units: float) -> Row:
        runs = [timed(lambda: score(model, planned)) for _ in range(self._repeats + 1)][1:]  # the first one warms up
        seconds = [run.wall if torch.cuda.is_available() else run.cpu for run in runs]
        row = {
            **what,
            "cost": round(1000 * statistics.median(seconds) / units, 4),
            "tokens_naive": planned.tokens_naive,
            "tokens_unique": planned.tokens_unique,
            "tokens_computed": planned.tokens_computed,
        }
        say(str(row))
        return row


def llama(width: int, vocabulary: int) -> Any:
    """A Llama of four layers."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=4,
        num_attention_heads=max(1, width // 64),
        num_key_value_heads=max(1, width // 64),
        tie_word_embeddings=True,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return LlamaForCausalLM(config).to(device).eval()


def enlarged(items: list[Item], count: int) -> list[Item]:
    """As many items as asked for: beyond those there are, one side of each is paired with one of a later item."""
    found = list(items)
    for distance in range(1, len(items)):
        for here, there in zip(items, items[distance:], strict=False):
            if len(found) >= count:
                return found[:count]
            assert here.sides is not None
            assert there.sides is not None
            found.append(Item(id=f"{here.id}-{distance}", sides=(here.sides[0], there.sides[1])))
    return found[:count]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[50, 100, 200, 400, 800])
    parser.add_argument("--continuations", type=int, nargs="+", default=[2, 5, 10, 20])
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--repeats", type=int, default=1, help="timed looks for each row, after one that is not timed")
    parser.add_argument("--tolerance", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; its own choice when 0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
