"""SFT, then DPO, with one callback watching both: what you would copy into your own training.

    python examples/sft_then_dpo.py --model Qwen/Qwen3-0.6B --sft sft.jsonl --pairs pairs.jsonl --out runs/

`sft.jsonl` holds TRL's prompt-completion rows, `pairs.jsonl` its prompt-chosen-rejected rows.
"""

import argparse
from pathlib import Path

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from driftwatch import DriftCallback, Schedule

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--sft", required=True)
parser.add_argument("--pairs", required=True)
parser.add_argument("--pack", default="core")
parser.add_argument("--steps", type=int, default=500)
parser.add_argument("--every", type=int, default=50)
parser.add_argument("--out", type=Path, default=Path("runs"))
args = parser.parse_args()

tokenizer = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForCausalLM.from_pretrained(args.model)
on_cpu = not torch.cuda.is_available()
schedule = Schedule(every_steps=args.every)

sft = SFTTrainer(
    model=model,
    args=SFTConfig(output_dir=str(args.out / "sft-checkpoints"), max_steps=args.steps, use_cpu=on_cpu),
    train_dataset=load_dataset("json", data_files=args.sft, split="train"),
    processing_class=tokenizer,
    callbacks=[DriftCallback(args.pack, schedule=schedule, run="sft", output_dir=args.out)],
)
sft.train()

dpo = DPOTrainer(
    model=sft.model,
    args=DPOConfig(output_dir=str(args.out / "dpo-checkpoints"), max_steps=args.steps, use_cpu=on_cpu),
    train_dataset=load_dataset("json", data_files=args.pairs, split="train"),
    processing_class=tokenizer,
    peft_config=LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"),
    callbacks=[DriftCallback(args.pack, baseline=args.out / "sft", schedule=schedule, run="dpo", output_dir=args.out)],
)
dpo.train()
dpo.save_model(str(args.out / "model"))
print(f"how far did it move? driftwatch runs show {args.out / 'dpo'}")
