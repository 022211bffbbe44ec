"""What the trials at the start of a run take, in plain training steps: of how the screen asks and replies are decoded.

    python -m benchmarks.trials [--model smollm2]

Each is proved once before the first step, on the model in training: that the fast way of the screen gives the numbers
of asking each answer alone, and that the fast way of decoding says what decoding without a cache says. A plain step is
DPO with LoRA on 16 pairs of 512 tokens, as in `benchmarks.observation`. Without a GPU seconds are those of this process
on its cores, which other jobs of the machine move less; the ratio says more than either.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.bank import screen_requests, two_sided_items
from benchmarks.clock import Timed, idle, timed
from benchmarks.dpo import Stopwatch, train
from benchmarks.models import NAMES, describe, load
from benchmarks.observation import STEP_PAIRS, STEP_TOKENS
from benchmarks.output import emit, say
from driftwatch.chat.format import ChatFormat
from driftwatch.host.guard import undisturbed
from driftwatch.replies.decoding_trial import prove_decoding
from driftwatch.replies.sampling import Decoding
from driftwatch.scoring.capability import choose_way
from driftwatch.topics.question import question


class _StepClock(Stopwatch):
    """A stopwatch in seconds of this process, where there is no GPU to wait for."""

    def __init__(self, skip: int) -> None:
        super().__init__(skip)
        self._cpu: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """As the original, and the time of the process."""
        super().on_step_begin(args, state, control, **kwargs)
        self._begun = time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """As the original, and the time of the process."""
        super().on_step_end(args, state, control, **kwargs)
        self._cpu.append(time.process_time() - self._begun)

    @property
    def a_step(self) -> float:
        """Seconds of a step that counts."""
        if torch.cuda.is_available():
            return self.seconds / self.steps
        return statistics.mean(self._cpu[len(self._cpu) - self.steps :])


def main() -> None:
    """Measure both trials and a step, print one JSON line."""
    arguments = _parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.model)
    encoder = ChatFormat(tokenizer)
    requests = screen_requests(tokenizer, arguments.pack)
    items = list(two_sided_items(arguments.pack))
    prompts = [encoder.encode(question(item, "two_sided", order)) for item in items for order in (0, 1)]
    length = Decoding().max_new_tokens
    with undisturbed(model) as asked:
        model(torch.tensor([prompts[0]]))  # kernels are loaded by the first call
        idle()
        screen = timed(lambda: choose_way(asked, requests))
        replies = timed(lambda: prove_decoding(asked, prompts, max_new_tokens=length))
    say(f"screen: {screen.result}; replies: {replies.result}")
    step = step_seconds(model, tokenizer, arguments.step_pairs)
    emit(
        "trials",
        {
            "screen_seconds": round(_seconds(screen), 2),
            "replies_seconds": round(_seconds(replies), 2),
            "step_seconds_16x512": round(step, 2),
            "screen_in_steps": round(_seconds(screen) / step, 3),
            "replies_in_steps": round(_seconds(replies) / step, 3),
            "way_of_screen": screen.result.way.path,
            "way_of_replies": replies.result.note or "rows of any length with a cache",
            "max_new_tokens": length,
            "pack": arguments.pack,
            "model": describe(model),
        },
    )


def step_seconds(model: Any, tokenizer: Any, pairs: int) -> float:
    """An optimizer step of 16 pairs × 512 tokens, from the mean of steps with some of the pairs."""
    clock = _StepClock(skip=1)
    with tempfile.TemporaryDirectory() as folder:
        train(model, tokenizer, Path(folder), [clock], steps=3, pairs=pairs, tokens=STEP_TOKENS)
    return STEP_PAIRS / pairs * clock.a_step


def _seconds(found: Timed) -> float:
    return found.wall if torch.cuda.is_available() else found.cpu


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", choices=NAMES)
    parser.add_argument("--pack", default="core")
    pairs = 4 if torch.cuda.is_available() else 1
    parser.add_argument("--step-pairs", type=int, default=pairs, help="pairs of a timed step")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; its own choice when 0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
