"""What an observation takes: the screen in training steps and in memory, and its replies by their batch size.

    python -m benchmarks.observation --model llama-8b

The screen asks the whole of a pack where there is a CUDA device, elsewhere a sample of its prompts that is scaled by
tokens. A training step is DPO with LoRA on 16 pairs of 512 tokens, measured in parts of `--step-pairs` and scaled by
pairs. Replies are drawn as an observation at most draws them: one for each of `--replies` two-sided questions.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.bank import screen_requests, two_sided_items
from benchmarks.clock import timed
from benchmarks.dpo import Stopwatch, train
from benchmarks.models import NAMES, describe, load
from benchmarks.output import emit, say
from driftwatch.chat.format import ChatFormat
from driftwatch.replies.sampling import sample
from driftwatch.scoring.memory import model_bytes
from driftwatch.scoring.score import plan, score
from driftwatch.topics.question import question

STEP_PAIRS, STEP_TOKENS = 16, 512
REPLY_TOKENS = 16
SAMPLED_PROMPTS = 40  # where the whole pack would take too long to be timed


def main() -> None:
    """Measure the three, print one JSON line."""
    arguments = _parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.model)
    looked = screen(model, tokenizer, arguments.pack, arguments.repeats)
    say(f"screen: {looked}")
    written = {size: replies(model, tokenizer, arguments.replies, size) for size in arguments.batch_sizes}
    say(f"{arguments.replies} replies by batch size: {written}")
    step = step_seconds(model, tokenizer, arguments.step_pairs)
    in_steps = looked["look_seconds"] / step
    emit(
        "look",
        {
            **looked,
            "step_seconds_16x512": round(step, 3),
            "look_in_steps": round(in_steps, 2),
            "steps_between_looks_at_1_percent": round(in_steps / 0.01),
            "replies": arguments.replies,
            "reply_seconds_by_batch_size": written,
            "pack": arguments.pack,
            "model": describe(model),
        },
    )


def screen(model: Any, tokenizer: Any, pack: str, repeats: int) -> dict[str, Any]:
    """Time and memory of the screen over a pack."""
    whole = plan(screen_requests(tokenizer, pack), model)
    planned = whole
    if not torch.cuda.is_available():
        planned = whole.subset(range(0, len(whole.requests), max(1, len(whole.requests) // SAMPLED_PROMPTS)))
    score(model, planned)
    scale = whole.tokens_computed / planned.tokens_computed
    seconds = scale * statistics.median(timed(lambda: score(model, planned)).wall for _ in range(repeats))
    found = {
        "look_seconds": round(seconds, 2),
        "prompts": len(whole.requests),
        "tokens_computed": whole.tokens_computed,
        "tokens_a_second": round(whole.tokens_computed / seconds),
        "forwards": whole.num_forwards,
        "model_gib": round(model_bytes(model) / 2**30, 2),
        "peak_stated_gib": round(whole.peak_bytes / 2**30, 3),
    }
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        score(model, planned)
        found["peak_measured_gib"] = round((torch.cuda.max_memory_allocated() - before) / 2**30, 3)
    return found


def replies(model: Any, tokenizer: Any, count: int, batch_size: int) -> float:
    """Seconds for one reply to each of some two-sided questions, all as long as replies may be."""
    encoder, items = ChatFormat(tokenizer), list(two_sided_items("core"))[:count]
    questions = [question(item, "two_sided", number % 2) for number, item in enumerate(items)]
    size = min(batch_size, count)

    def write() -> None:
        generator = torch.Generator().manual_seed(0)
        sample(model, encoder, questions, generator=generator, max_new_tokens=REPLY_TOKENS, batch_size=size)

    write()
    return round(timed(write).wall, 2)


def step_seconds(model: Any, tokenizer: Any, pairs: int) -> float:
    """An optimizer step of 16 pairs × 512 tokens, from the mean of steps with some of the pairs."""
    with tempfile.TemporaryDirectory() as folder:
        cold = int(torch.cuda.is_available())  # the first step loads kernels there
        watch = Stopwatch(skip=cold)
        train(model, tokenizer, Path(folder), [watch], steps=3 + cold, pairs=pairs, tokens=STEP_TOKENS)
    return STEP_PAIRS / pairs * watch.seconds / watch.steps


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", choices=NAMES)
    parser.add_argument("--pack", default="core")
    parser.add_argument("--repeats", type=int, default=1, help="timed observations, after one that is not timed")
    parser.add_argument("--replies", type=int, default=192)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 192])
    pairs = 4 if torch.cuda.is_available() else 1
    parser.add_argument("--step-pairs", type=int, default=pairs, help="pairs of a timed step")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; its own choice when 0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
