"""Runs the checks with which a run begins on tiny models, to see whether the installed versions do what we rely on.

A new release of torch or transformers may rename an argument and silently drop the old one. A run would find that out
on its own model; here it is found out before there is a model.
"""

from collections.abc import Iterator
from importlib import metadata
from typing import Any

from driftwatch.doctor.finding import Finding
from driftwatch.errors import DriftwatchError

CHECK = "self-check"
FIX = "Install versions that docs/trainers.md names, and tell us; a run would fall back or refuse as it is said here."
_QUESTIONS = ("Which is closer to your view?\n– We need trees.\n– We need houses.", "Tea or coffee?")
_MAX_NEW_TOKENS = 12


def of_versions() -> Iterator[Finding]:
    """One finding for each thing that runs rely on: how answers are scored, replies decoded and texts rendered."""
    from driftwatch.testing import tiny_model, tiny_tokenizer

    named = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers"))
    tokenizer = tiny_tokenizer()
    for kind in ("llama", "gemma3"):
        model = tiny_model(tokenizer, kind)
        for prove in (_scoring, _decoding):
            try:
                lacks, text = prove(model, tokenizer)
            except Exception as err:  # noqa: BLE001 - new versions may raise anything, which is what this check is for
                lacks, text = True, f"{type(err).__name__}: {err}"
            told = f"{named}: {type(model).__name__}: {text}"
            yield Finding(CHECK, "problem", told, FIX) if lacks else Finding(CHECK, "ok", told)
    yield _rendering(tokenizer, named)


def _scoring(model: Any, tokenizer: Any) -> tuple[bool, str]:
    """The finding on whether the screen's fastest way of scoring is right here; another way would be slower."""
    from driftwatch.host.guard import undisturbed
    from driftwatch.probes.statement import StatementProbe
    from driftwatch.testing import tiny_pack

    probe = StatementProbe(naysaying_items=0)
    with undisturbed(model, tokenizer=tokenizer) as asked:
        probe.prepare(asked, tokenizer, tiny_pack().topics)
    paths = {plan.path for plan in probe.plans}
    if paths == {"tree"}:
        return False, "packed rows score every answer as it is scored alone"
    return True, f"answers cannot be scored in packed rows, but by way of {', '.join(sorted(paths))}"


def _decoding(model: Any, tokenizer: Any) -> tuple[bool, str]:
    """The finding on whether the fastest way of decoding replies is right here."""
    from driftwatch.chat.format import ChatFormat
    from driftwatch.host.guard import undisturbed
    from driftwatch.replies.decoding_trial import prove_decoding

    chat = ChatFormat(tokenizer)
    prompts = [chat.encode(question) for question in _QUESTIONS]
    with undisturbed(model, tokenizer=tokenizer) as asked:
        proved = prove_decoding(asked, prompts, max_new_tokens=_MAX_NEW_TOKENS, stop_ids=chat.stop_ids)
    return proved.note is not None, proved.sentence


def _rendering(tokenizer: Any, named: str) -> Finding:
    """The finding on whether the conversation of a template can be rendered and cut as in training."""
    from driftwatch.chat.format import ChatFormat

    try:
        found = ChatFormat(tokenizer).rendering
    except DriftwatchError as err:
        return Finding(CHECK, "problem", f"{named}: {err}", FIX)
    if found is None or not found.proved:
        return Finding(CHECK, "problem", f"{named}: answers are not in the tokens that training gives them", FIX)
    return Finding(CHECK, "ok", f"{named}: answers are scored in the tokens that training gives them")
