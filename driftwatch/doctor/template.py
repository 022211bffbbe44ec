"""Checks whether a model is asked in the way that training renders its conversations, by the same trials as a run."""

from typing import Any

from driftwatch.doctor.finding import Finding
from driftwatch.errors import ConfigError

NO_END = "Replies run on until they are cut; give the template an end-of-turn token, or lower max_new_tokens."


def template(tokenizer: Any, wrap: Any = None) -> Finding:
    """The finding on the chat template.

    Args:
        tokenizer: The model's tokenizer or processor.
        wrap: The user's own context, which is put around every question; `None` for none.
    """
    from driftwatch.chat.format import ChatFormat

    try:
        chat = ChatFormat(tokenizer, wrap)
    except ConfigError as err:
        return Finding("template", "problem", str(err), "Correct the chat template, or the wrap.")
    found = chat.rendering
    if found is None:
        return Finding("template", "ok", 'none; the model is asked "Question: … Answer:", as a base model is')
    level, fix = "ok", None
    said = ["question found"]
    if found.proved:
        said.append("answers in training's tokens")
    elif found.proved is None:
        said.append("answers could not be compared with training's tokens")
    else:
        level, fix = "warning", "Scores are of other tokens than training's; use the tokenizer that training uses."
        said.append("answers are not in training's tokens")
    if chat.ends:
        said.append(f"ends with {' or '.join(chat.ends)}")
    else:
        level, fix = "warning", fix or NO_END
        said.append("nothing ends an answer")
    said.append("clock frozen" if found.dated else "no date")
    return Finding(
        "template", "warning" if level == "warning" else "ok", "; ".join([", ".join(said), *chat.notes]), fix
    )
