"""A training loop in plain PyTorch, watched: begin, is_due, observe, close.

    python examples/plain_loop.py --model Qwen/Qwen3-0.6B --texts texts.jsonl --config examples/drift.yaml

`texts.jsonl` holds one {"text": …} a line.
"""

import argparse
import json
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer

from driftwatch import Monitor
from driftwatch.config import load_config, monitor_arguments

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--texts", type=Path, required=True)
parser.add_argument("--config", type=Path)
parser.add_argument("--steps", type=int, default=500)
args = parser.parse_args()

device = "cuda" if torch.cuda.is_available() else "cpu"
tokenizer = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForCausalLM.from_pretrained(args.model).to(device).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
ids = [torch.tensor(tokenizer(json.loads(line)["text"])["input_ids"]) for line in args.texts.read_text().splitlines()]


def padded(rows):
    """Rows of one length; what was filled up is neither read nor learned."""
    filled = pad_sequence(rows, batch_first=True, padding_value=-100)
    return {"input_ids": filled.clamp(min=0), "attention_mask": (filled >= 0).long(), "labels": filled}


batches = DataLoader(ids, batch_size=4, shuffle=True, collate_fn=padded)
monitor = Monitor(**monitor_arguments(load_config(args.config)))
monitor.begin(model, tokenizer, planned_steps=args.steps, optimizer=optimizer)
step, outcome = 0, "failed"
try:
    while step < args.steps:
        for batch in batches:
            model(**{name: values.to(device) for name, values in batch.items()}).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if monitor.is_due(step) and step < args.steps:
                monitor.observe(model, step)
            if step == args.steps:
                break
    monitor.observe(model, step, phase="end")
    outcome = "finished"
finally:
    monitor.close(outcome)
print(f"how far did it move? driftwatch runs show {monitor.store.folder}")
