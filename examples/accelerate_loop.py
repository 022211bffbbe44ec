"""A loop with Accelerate on any number of processes, watched: every rank calls the monitor, rank 0 writes.

    accelerate launch examples/accelerate_loop.py --model Qwen/Qwen3-0.6B --texts texts.jsonl --config drift.yaml

`texts.jsonl` holds one {"text": …} a line.
"""

import argparse
import json
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForLanguageModeling

from driftwatch import Monitor
from driftwatch.config import load_config, monitor_arguments

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--texts", type=Path, required=True)
parser.add_argument("--config", type=Path)
parser.add_argument("--steps", type=int, default=500)
parser.add_argument("--cpu", action="store_true")
args = parser.parse_args()

accelerator = Accelerator(cpu=args.cpu)
tokenizer = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForCausalLM.from_pretrained(args.model)
rows = [tokenizer(json.loads(line)["text"]) for line in args.texts.read_text().splitlines()]
batches = DataLoader(rows, 4, shuffle=True, collate_fn=DataCollatorForLanguageModeling(tokenizer, mlm=False))
model, optimizer, batches = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-5), batches)

monitor = Monitor(**monitor_arguments(load_config(args.config)))
monitor.begin(model, tokenizer, planned_steps=args.steps, optimizer=optimizer)  # after prepare: as it is trained
step, outcome = 0, "failed"
try:
    while step < args.steps:
        for batch in batches:
            accelerator.backward(model(**batch).loss)
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
if accelerator.is_main_process:
    print(f"how far did it move? driftwatch runs show {monitor.store.folder}")
accelerator.end_training()
