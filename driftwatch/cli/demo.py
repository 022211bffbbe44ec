"""`driftwatch demo`: lets you watch a real model leave an SFT-established stance under DPO."""

import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from driftwatch.wording import signed

NUM_LINES = 10  # lines printed for a training without observations, where no terminal draws a bar


@click.command()
@click.option("--fast", is_flag=True, help="A tiny model that learns the claims in seconds, instead of SmolLM2-135M.")
@click.option("--model", default=None, help="Hub id or folder of another model than SmolLM2-135M-Instruct.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Folder for the runs.  [default: a new folder]"
)
@click.option("--port", type=int, default=9464, show_default=True, help="Port of the live page and /metrics.")
def command(fast: bool, model: str | None, out: Path | None, port: int) -> None:
    """Fine-tune a model on balanced answers, then run DPO that favours one side of one topic, and watch both.

    Exit code 0: the planted topic was seen to move toward its pole, and the control topics were not. 1: it was not so.
    2: nothing can be told about the run.
    """
    if fast and model is not None:
        raise click.UsageError("--fast has a model of its own; give --fast or --model, not both.")
    from rich.console import Console

    console = Console()
    folder = out or Path(tempfile.mkdtemp(prefix="driftwatch-demo-"))
    with _quiet_libraries():
        code = _run(console, folder, fast=fast, model=model, port=port)
    sys.exit(code)


def _run(console: Any, folder: Path, *, fast: bool, model: str | None, port: int) -> int:
    from driftwatch.callback import DriftCallback
    from driftwatch.cli.tables import drift_table
    from driftwatch.demo import generalisation
    from driftwatch.demo.data import PLANTED, SFT_WORDINGS, TOWARDS, demo_packs, dpo_pairs, sft_examples
    from driftwatch.demo.fast import WORDINGS
    from driftwatch.demo.training import FAST, Recipe, bf16_pays, run_dpo, run_sft, short_replies, watching
    from driftwatch.demo.verdict import verdict
    from driftwatch.service.live import prometheus

    pack, new_claims = demo_packs()
    recipe = FAST if fast else Recipe(bf16=bf16_pays())
    network, tokenizer, name = _load(fast, model, [pack, new_claims])
    topic = pack.topic(PLANTED)
    console.print(f"model {name}, {pack.num_items} claims on {len(pack.topics)} topics; runs in {folder}")
    console.print(f"1. SFT teaches balanced answers. 2. DPO favours “{topic.poles[TOWARDS]}” on {topic.title.lower()}.")

    def watch(run: str, every_steps: int, **options: Any) -> DriftCallback:
        settings = {**watching(every_steps), **options}
        return DriftCallback(pack, run=run, output_dir=folder, seed=recipe.seed, **settings)

    with _progress(console) as bar:
        sft = watch("sft", every_steps=10_000, exporters=())
        examples = sft_examples(pack, WORDINGS if fast else SFT_WORDINGS)
        network = run_sft(network, tokenizer, examples, folder / "sft-training", recipe, [sft, bar("SFT", None)])
        before = generalisation.ask(network, tokenizer, new_claims)
        dpo = watch(
            "dpo",
            every_steps=recipe.look_every,
            baseline=folder / "sft",
            confirm=short_replies(),
            exporters=(prometheus(port=port),),
        )
        pairs = dpo_pairs(pack, PLANTED, towards=TOWARDS)
        network = run_dpo(network, tokenizer, pairs, folder / "dpo-training", recipe, [dpo, bar("DPO", dpo)])
    after = generalisation.ask(network, tokenizer, new_claims, before=before)
    store, info = dpo.monitor.store, dpo.monitor.info
    assert store is not None
    assert info is not None
    last = store.records()[-1]
    console.print(drift_table(info, last, baseline="sft"))
    _print_styles(console, last)
    _print_agreement(console, last)
    screen, replies = generalisation.shifts(before, after)
    measured = [f"log-odds shift of the screen {generalisation.listed(screen)}"]
    if written := generalisation.listed_replies(replies):
        measured.append(f"net shift of the replies {written}")
        if (pearson := generalisation.agreement(before).pearson) is not None:
            measured.append(f"agreement of the two {_agreement(pearson)}")
    console.print(f"claims that no training saw (small models hardly generalise): {'; '.join(measured)}")
    found = verdict(info, last, planted=PLANTED, towards=TOWARDS)
    for finding in found.findings:
        console.print(finding, style="green" if finding.startswith("yes") else "red")
    console.print(f"observation again: driftwatch runs show {folder / 'dpo'}, or driftwatch report {folder / 'dpo'}")
    return 0 if found.passed else 1 if found.can_tell else 2


def _load(fast: bool, model: str | None, packs: list[Any]) -> tuple[Any, Any, str]:
    if fast:
        import torch

        from driftwatch.demo.fast import fast_model

        torch.set_num_threads(1)  # with so small a model, more threads make it slower
        return (*fast_model(packs), "a tiny random Llama")
    from driftwatch.host.load import load_model

    loaded = load_model(model or "smollm2", dtype="float32")
    return loaded.model, loaded.tokenizer, model or "SmolLM2-135M-Instruct"


def _print_styles(console: Any, record: Any) -> None:
    shifts = {
        d.topic: d.naysaying_shift for d in record.drifts if d.baseline == "sft" and d.naysaying_shift is not None
    }
    listed = ", ".join(f"{topic} {signed(shift)}" for topic, shift in shifts.items())
    console.print(f"naysaying (a style, not a value): {listed}")


def _print_agreement(console: Any, record: Any) -> None:
    """Print whether the screen agrees with the replies; where it does not, it only says where to draw more replies."""
    hidden = {s.unscored for s in record.stances if s.probe == "statement" and s.unscored is not None}
    pearson = record.agreement.get("statement")
    measured = (
        [f"agreement of screen and replies on the trained claims {_agreement(pearson)}"] if pearson is not None else []
    )
    if measured or hidden:
        console.print("; ".join([*measured, *hidden]))


def _agreement(pearson: float) -> str:
    return f"r = {pearson:+.2f} over the claims"


@contextmanager
def _progress(console: Any) -> Iterator[Any]:
    """A factory of Trainer callbacks that show one progress bar per training and print one line per observation."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from transformers import TrainerCallback

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        class Bar(TrainerCallback):  # type: ignore[misc] # transformers publishes no types
            def __init__(self, name: str, watch: Any) -> None:
                self.task = progress.add_task(name, total=None)
                self.name, self.watch, self.told = name, watch, -1

            def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                progress.update(self.task, total=state.max_steps)
                if self.watch is not None:
                    console.print(f"live page at {self.watch.monitor.url}, metrics at {self.watch.monitor.url}/metrics")
                self.tell()

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                progress.update(self.task, completed=state.global_step)
                is_silent = self.watch is None and not console.is_terminal  # observations always print lines
                if is_silent and state.global_step % -(-state.max_steps // NUM_LINES) == 0:
                    console.print(f"{self.name} step {state.global_step} of {state.max_steps}")
                self.tell()

            def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                self.tell()

            def tell(self) -> None:
                record = self.watch.monitor.last if self.watch is not None else None
                if record is None or record.look == self.told:
                    return
                self.told = record.look
                shifts = [
                    f"{d.topic} {signed(d.log_odds_shift)}"
                    for d in record.drifts
                    if d.baseline == "sft" and d.log_odds_shift is not None
                ]
                console.print(f"step {record.step:>3}: log-odds shift of the screen {', '.join(shifts)}")

        yield Bar


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Silence the libraries' progress bars and notices, which would break up ours."""
    import warnings

    import datasets
    import transformers

    warnings.filterwarnings("ignore", category=FutureWarning)  # these warnings are for developers of the libraries
    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("driftwatch").setLevel(logging.WARNING)
    yield
