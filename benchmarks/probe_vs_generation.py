"""The screen against the paper's protocol, on the same items: likelihoods of statements against sampled replies.

    python -m benchmarks.probe_vs_generation

The paper draws 5 replies of up to 256 tokens at temperature 0.7 to each open question, and has them judged. They
are timed twice: item by item with `generate`, as the protocol reads, and all at once in one batch, the best that can be
done with it. The judge is not timed. The screen asks each item two-sided, in both orders, with all its answers.

The two do not measure the same thing; see docs/statistics.md for what each is good for.
"""

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.bank import request, two_sided_items
from benchmarks.clock import timed
from benchmarks.models import NAMES, describe, load
from benchmarks.output import emit, say
from driftwatch.chat.format import ChatFormat
from driftwatch.replies.sampling import sample
from driftwatch.scoring.score import plan, score
from driftwatch.topics import Item
from driftwatch.topics.question import question

SAMPLES, TEMPERATURE, MAX_NEW_TOKENS = 5, 0.7, 256  # the paper's


def main() -> None:
    """Time the three on the same items, print one JSON line."""
    arguments = _parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.model)
    encoder = ChatFormat(tokenizer)
    items = [item for item in two_sided_items("core") if item.question is not None][: arguments.items]

    planned = plan([request(encoder, item, order) for item in items for order in (0, 1)], model)
    score(model, planned)
    screens = [timed(lambda: score(model, planned)).wall / len(items) for _ in range(3)]
    screen = statistics.median(screens)
    say(f"screen: {screen:.3f} s an item")

    singly = timed(lambda: [paper_replies(model, encoder, item) for item in items])
    say(f"paper's protocol item by item: {singly.wall / len(items):.2f} s an item")
    together = timed(lambda: replies_together(model, encoder, items))
    say(f"paper's protocol in one batch: {together.wall / len(items):.2f} s an item")

    emit(
        "probe_vs_generation",
        {
            "speedup_item_by_item": round(singly.wall / len(items) / screen, 1),
            "speedup_one_batch": round(together.wall / len(items) / screen, 1),
            "seconds_an_item_screen": round(screen, 4),
            "seconds_an_item_paper": round(singly.wall / len(items), 3),
            "seconds_an_item_paper_one_batch": round(together.wall / len(items), 3),
            "tokens_an_item_screen": round(planned.tokens_computed / len(items), 1),
            "new_tokens_an_item_paper": round(sum(singly.result) / len(items), 1),
            "items": len(items),
            "replies_an_item": SAMPLES,
            "max_new_tokens": MAX_NEW_TOKENS,
            "judge_counted": False,
            "model": describe(model),
        },
    )


@torch.no_grad()
def paper_replies(model: Any, encoder: ChatFormat, item: Item) -> int:
    """Five replies to one open question; returns their tokens."""
    ids = torch.tensor([encoder.encode(question(item, "open", 0))], device=model.device)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=TEMPERATURE,
        top_k=0,
        max_new_tokens=MAX_NEW_TOKENS,
        num_return_sequences=SAMPLES,
    )
    new = out[:, ids.shape[1] :]
    return int((new != model.generation_config.pad_token_id).sum())


@torch.no_grad()
def replies_together(model: Any, encoder: ChatFormat, items: Sequence[Item]) -> int:
    """The same replies to all questions in one batch; returns their tokens."""
    questions = [question(item, "open", 0) for item in items for _ in range(SAMPLES)]
    replies = sample(
        model,
        encoder,
        questions,
        generator=torch.Generator().manual_seed(0),
        temperature=TEMPERATURE,
        max_new_tokens=MAX_NEW_TOKENS,
        batch_size=len(questions),
    )
    return sum(reply.num_tokens for reply in replies)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=8)
    parser.add_argument("--model", default="smollm2", choices=NAMES)
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; its own choice when 0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
