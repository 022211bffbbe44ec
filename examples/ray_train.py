"""Ray Train's TorchTrainer, watched: the loop of every worker calls the monitor, the first worker writes.

    python examples/ray_train.py --model Qwen/Qwen3-0.6B --texts texts.jsonl --config drift.yaml --workers 2

`texts.jsonl` holds one {"text": …} a line. Name a folder that all workers reach as output_dir in the settings.
"""

import argparse
import json
import os
from pathlib import Path

from ray.train import RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchTrainer, prepare_model


def train(args):
    """What each worker runs; everything heavy is imported there."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from driftwatch import Monitor
    from driftwatch.config import load_config, monitor_arguments

    tokenizer = AutoTokenizer.from_pretrained(args["model"])
    model = prepare_model(AutoModelForCausalLM.from_pretrained(args["model"]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    texts = [json.loads(line)["text"] for line in Path(args["texts"]).read_text().splitlines()]
    mine = texts[get_context().get_world_rank() :: get_context().get_world_size()]
    device = next(model.parameters()).device

    monitor = Monitor(**monitor_arguments(load_config(args["config"])))
    monitor.begin(model, tokenizer, planned_steps=args["steps"], optimizer=optimizer)
    for step in range(1, args["steps"] + 1):
        batch = tokenizer(mine[step % len(mine)], return_tensors="pt").to(device)
        model(**batch, labels=batch["input_ids"]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if monitor.is_due(step) and step < args["steps"]:
            monitor.observe(model, step)
    monitor.observe(model, args["steps"], phase="end")
    monitor.close("finished")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=os.path.abspath, required=True)  # workers run in another folder
    parser.add_argument("--config", type=os.path.abspath)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--out", type=os.path.abspath, default="ray-runs")
    args = vars(parser.parse_args())
    scaling = ScalingConfig(num_workers=args["workers"], use_gpu=args["gpu"])
    run = RunConfig(storage_path=os.path.abspath(args["out"]))
    result = TorchTrainer(train, train_loop_config=args, scaling_config=scaling, run_config=run).fit()
    print(f"the workers have finished: {result.path}")
