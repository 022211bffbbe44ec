"""`driftwatch baseline`: keeps an SFT model's stances, and optionally its judged replies, to compare runs with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from driftwatch.errors import JudgeError, ProbeError

if TYPE_CHECKING:
    from driftwatch.drift.validity import Validity
    from driftwatch.host.load import Loaded
    from driftwatch.probes.interview import Interview
    from driftwatch.replies.confirmation import Confirmation
    from driftwatch.store.run_store import Labels
    from driftwatch.topics import TopicPack


@click.command()
@click.argument("model")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="DRIFTWATCH_CONFIG",
    help="Settings file of the run to compare. Its pack and probes are used, since both sides must be asked alike.",
)
@click.option("--pack", help="Topic pack: a name, a file or a folder.  [default: the pack of the settings, or core]")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write baseline.json into.")
@click.option(
    "--judge",
    help="Also sample two-sided replies, with this judge: sides, nli, nli:MODEL, endpoint:MODEL@URL, or a name.",
)
@click.option(
    "--replies",
    type=click.IntRange(min=1),
    help="Replies per item and order, judged by --judge, or the judge of the settings, or sides.  [default: 4]",
)
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto")
def command(
    model: str, config: Path | None, pack: str | None, out: Path, judge: str | None, replies: int | None, dtype: str
) -> None:
    """Ask MODEL (a folder, a hub id, or "smollm2") once and keep its stances as the baseline "sft".

    With replies, the screen is compared with their judgements, and calibrated to them where that predicts better. A run
    with the same judge and decoding knows from its first observation whether the screen's levels can be shown.

    Name the folder as baseline in the settings, or pass it to DriftCallback(baseline=…).
    """
    from driftwatch.config import callback_arguments, load_config
    from driftwatch.drift.reliability import reliability_of
    from driftwatch.host.load import load_model
    from driftwatch.store.run_store import RunStore
    from driftwatch.topics import load_pack
    from driftwatch.watch.baselines import FILE
    from driftwatch.watch.instrument import ask_once

    settings = callback_arguments(load_config(config))
    asked = load_pack(pack) if pack is not None else settings.get("pack") or load_pack("core")
    confirm = _confirmation(settings.get("confirm"), judge, replies, asked)
    loaded = load_model(model, dtype=dtype)  # type: ignore[arg-type] # click.Choice allows these words only
    probes = settings.get("probes", ("statement",))
    baseline = ask_once(loaded.model, loaded.tokenizer, asked, model_name=model, probes=probes)
    stances = list(baseline.stances)
    if confirm is not None:
        from driftwatch.watch.labelling import with_labels

        heard = _interviewed(loaded, asked, confirm, replies)
        baseline = with_labels(baseline, heard, confirm)
        stances += heard.stances
    out.mkdir(parents=True, exist_ok=True)
    store = RunStore(out)
    store.write_json("reliability.json", reliability_of(stances, asked.topics))
    store.write_json(FILE, baseline)
    click.echo(f"asked {len(baseline.stances)} items of pack {asked.id}; wrote {out / FILE}")
    if baseline.labels is not None:
        _print_labels(baseline.labels)
    elif settings.get("confirm") is not None:
        click.echo("the settings draw replies: with --replies 4 their judge reads this model's as well")
    named = f'DriftCallback("{pack or "core"}", baseline="{out}")' if config is None else f"baseline: {out} in {config}"
    click.echo(f"use it with {named}")


def _confirmation(
    of_settings: "Confirmation | None", judge: str | None, replies: int | None, pack: "TopicPack"
) -> "Confirmation | None":
    """The settings for replies, with a judge that has been tried; `None` where no replies were asked for."""
    if judge is None and replies is None:
        return None
    from dataclasses import replace

    from driftwatch.judges.by_name import judge_by_name
    from driftwatch.replies.confirmation import Confirmation
    from driftwatch.watch.labelling import try_out

    confirm = of_settings or Confirmation()
    named = judge or confirm.judge
    reader = judge_by_name(named) if isinstance(named, str) else named
    with _or_nothing():
        try_out(reader, pack.topics)
    return replace(confirm, judge=reader)


def _interviewed(loaded: "Loaded", pack: "TopicPack", confirm: "Confirmation", replies: int | None) -> "Interview":
    from driftwatch.probes.interview import interview
    from driftwatch.watch.labelling import REPLIES, label_probe

    number = replies or REPLIES
    items = sum(item.sides is not None for topic in pack for item in topic.items)
    click.echo(f"sampling {items * 2 * number} replies, {number} an item and order", err=True)
    with _or_nothing():
        return interview(loaded.model, loaded.tokenizer, pack.topics, label_probe(confirm, replies=number))


@contextmanager
def _or_nothing() -> Iterator[None]:
    """End the command with advice, before anything is written, if the judge cannot work."""
    try:
        yield
    except (JudgeError, ProbeError) as err:
        cause = err if isinstance(err, JudgeError) else err.__cause__
        if not isinstance(cause, JudgeError):
            raise
        raise JudgeError(
            f"the judge cannot read, so nothing was written: {str(cause).rstrip('.')}. Correct it (driftwatch judge "
            "check tries it on replies of your own), name another, or leave --judge and --replies out: then the screen "
            "alone is asked."
        ) from err


def _print_labels(labels: "Labels") -> None:
    counts = [counted for items in labels.counts.values() for counted in items.values()]
    support, neutral, oppose, refused, off_topic, unread = map(sum, zip(*counts, strict=True))
    number = sum(map(sum, counts))
    read = support + neutral + oppose
    click.echo(
        f"{number} replies, read by {labels.identity['judge']}: a stance in {read / number:.0%} (coverage), "
        f"refused {refused / number:.0%}, off-topic or unclassified {(off_topic + unread) / number:.0%}"
    )
    for found in labels.validity:
        click.echo(f"{found.probe} against the replies: {_agreement(found)}")
    click.echo(f"calibration: {_fitted(labels)}")


def _agreement(found: "Validity") -> str:
    if found.is_valid is None:
        return f"not measured, so nothing speaks for or against its levels: {found.why}"
    figures = {"correlation": found.pearson, "topic error": found.topic_error, "kappa": found.kappa}
    words = [f"{name} {'not measured' if value is None else f'{value:.2f}'}" for name, value in figures.items()]
    levels = "its levels may be shown" if found.is_valid else f"its levels are hidden: {found.why}"
    return f"{', '.join(words)}, over {found.num_items} items; {levels}"


def _fitted(labels: "Labels") -> str:
    """The sentence that says which calibration was kept, and why."""
    from driftwatch.drift.calibration import MIN_LABELLED

    fit = labels.fit
    if fit is None:
        return f"without labels (prior), as fewer than {MIN_LABELLED} items have scores and a reply with a stance"
    losses = f"{fit.log_loss:.3f} nats a reply fitted to the labels, {fit.prior_log_loss:.3f} without them (prior)"
    found = f"cross-validated log loss {losses}, {fit.constant_log_loss:.3f} by their mean shares alone"
    return f"fitted to the labels; {found}" if fit.is_worth_it else f"without labels (prior); {found}: {fit.why_not}"
