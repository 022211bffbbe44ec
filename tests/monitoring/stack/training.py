"""A real, short training whose answers on one topic really change; run as a process by the tests of this folder.

A small model first learns to answer every question with "yes" or "no" at random. Then it is trained, watched, to answer
"no" on parks only, and then goes on until it is stopped: by its end, or by a signal.

    training.py FOLDER JSON-OF-EXPORTER-OPTIONS STEPS
"""

import json
import sys
import time
import warnings

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging as transformers_logging

from driftwatch import DriftCallback, Schedule
from driftwatch.demo.fast import fast_model
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.judges.judge import Judgement
from driftwatch.judges.panel import Panel
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.stance import Probs
from driftwatch.testing import tiny_pack
from driftwatch.topics.question import question

PACE_SECONDS = 0.2  # a step, once the shift is learned: the run must live long enough to be scraped


class FirstWord:
    """Reads "yes" as support and "no" as oppose."""

    id = "first-word"

    def read(self, asked):
        probs = {"yes": Probs(1, 0, 0), "no": Probs(0, 0, 1)}
        words = [(one.reply.lower().split() or [""])[0].rstrip(".,") for one in asked]
        return [Judgement(probs=probs[w]) if w in probs else Judgement(unread="neither yes nor no") for w in words]


class FirstLetter:
    """Reads "y…" as support and "n…" as oppose, so that replies are seldom read otherwise than by their first word."""

    id = "first-letter"

    def read(self, asked):
        probs = {"y": Probs(1, 0, 0), "n": Probs(0, 0, 1)}
        letters = [one.reply.lower()[:1] for one in asked]
        return [Judgement(probs=probs[c]) if c in probs else Judgement(unread="neither y nor n") for c in letters]


class Examples(torch.utils.data.Dataset):
    """Questions of the pack, each with both answers equally often, but for topics that always answer "no"."""

    def __init__(self, pack, tokenizer, always_no=()):
        self.rows = [
            self._row(tokenizer, question(item, "two_sided", order), "No." if topic.id in always_no else answer)
            for topic in pack
            for item in topic.items
            for order in (0, 1)
            for answer in ("Yes.", "No.")
        ]

    @staticmethod
    def _row(tokenizer, text, answer):
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
        start = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        asked = len(tokenizer(start, add_special_tokens=False)["input_ids"])
        return ids, [-100] * asked + ids[asked:]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        ids, labels = self.rows[index]
        return {"input_ids": ids, "labels": labels}


def collate(rows, pad):
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), -100)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        n = len(row["input_ids"])
        ids[i, :n], labels[i, :n], mask[i, :n] = torch.tensor(row["input_ids"]), torch.tensor(row["labels"]), 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


class Pace(TrainerCallback):
    """Slows training down once there is something to see."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= 150:
            time.sleep(PACE_SECONDS)


def train(model, tokenizer, examples, folder, steps, callbacks=(), rate=3e-3):
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=24,
        learning_rate=rate,
        lr_scheduler_type="constant",
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    Trainer(
        model=model,
        args=arguments,
        train_dataset=examples,
        data_collator=lambda rows: collate(rows, tokenizer.pad_token_id),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    ).train()


def main(folder, options, steps):
    warnings.simplefilter("ignore")
    transformers_logging.set_verbosity_error()
    pack = tiny_pack()
    model, tokenizer = fast_model([pack])
    train(model, tokenizer, Examples(pack, tokenizer), f"{folder}/before", 60)
    watch = DriftCallback(
        pack,
        confirm=Confirmation(
            judge=Panel([FirstWord(), FirstLetter()]),
            decoding=Decoding(temperature=1.0, max_new_tokens=2),
            normal_draws=48,
        ),
        schedule=Schedule(every_steps=25, early_dense=False, budget=None),
        run="r1",
        output_dir=f"{folder}/runs",
        exporters=[PrometheusExporter(**options)],
        on_error="raise",
    )
    moved = Examples(pack, tokenizer, always_no=("parks",))
    train(model, tokenizer, moved, f"{folder}/after", steps, [watch, Pace()])


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))
