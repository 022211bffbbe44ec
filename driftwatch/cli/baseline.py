"""`driftwatch baseline`: keep an SFT model's stances, to compare runs with."""

from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="DRIFTWATCH_CONFIG",
    help="Settings file of the run to compare; its pack and probes are taken, as only alike can be compared.",
)
@click.option("--pack", help="Topic pack: a name, a file or a folder.  [default: that of the settings, or core]")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write baseline.json into.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto")
def command(model: str, config: Path | None, pack: str | None, out: Path, dtype: str) -> None:
    """Ask MODEL (a folder, a hub id, or "smollm2") once and keep its stances as the baseline "sft".

    Name the folder as baseline in the settings, or pass it to DriftCallback(baseline=…).
    """
    from driftwatch.asking import ask_once
    from driftwatch.baselines import FILE
    from driftwatch.config import callback_arguments, load_config
    from driftwatch.drift.reliability import reliability_of
    from driftwatch.probes.load import load_model
    from driftwatch.store import RunStore
    from driftwatch.topics import load_pack

    settings = callback_arguments(load_config(config))
    asked = load_pack(pack) if pack is not None else settings.get("pack") or load_pack("core")
    loaded = load_model(model, dtype=dtype)  # type: ignore[arg-type] # click.Choice allows these words only
    probes = settings.get("probes", ("statement",))
    baseline = ask_once(loaded.model, loaded.tokenizer, asked, model_name=model, probes=probes)
    out.mkdir(parents=True, exist_ok=True)
    store = RunStore(out)
    store.write_json("reliability.json", reliability_of(baseline.stances, asked.topics))
    store.write_json(FILE, baseline)
    click.echo(f"asked {len(baseline.stances)} items of pack {asked.id}; wrote {out / FILE}")
    named = f'DriftCallback("{pack or "core"}", baseline="{out}")' if config is None else f"baseline: {out} in {config}"
    click.echo(f"use it with {named}")
