"""`driftwatch baseline`: keep an SFT model's stances, to compare runs with."""

from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.option("--pack", default="core", show_default=True, help="Topic pack: a name, a file or a folder.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write baseline.json into.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto")
def command(model: str, pack: str, out: Path, dtype: str) -> None:
    """Ask MODEL (a folder, a hub id, or "smollm2") once and keep its stances as the baseline "sft".

    Pass the folder to DriftCallback(baseline=…).
    """
    from driftwatch.asking import ask_once
    from driftwatch.baselines import FILE
    from driftwatch.drift.reliability import reliability_of
    from driftwatch.probes.load import load_model
    from driftwatch.store import RunStore
    from driftwatch.topics import load_pack

    loaded = load_model(model, dtype=dtype)  # type: ignore[arg-type] # click.Choice allows these words only
    baseline = ask_once(loaded.model, loaded.tokenizer, pack, model_name=model)
    out.mkdir(parents=True, exist_ok=True)
    store = RunStore(out)
    store.write_json("reliability.json", reliability_of(baseline.stances, load_pack(pack).topics))
    store.write_json(FILE, baseline)
    click.echo(f"asked {len(baseline.stances)} items of pack {pack}; wrote {out / FILE}")
    click.echo(f'use it with DriftCallback("{pack}", baseline="{out}")')
