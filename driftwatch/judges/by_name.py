"""Makes judges from the command line's texts: a name, followed by a colon and what the judge needs."""

from driftwatch import plugins
from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Judge

# What the built-in judges need in addition to their name.
_WANTED = {
    "reference": "the model in training: make it in Python (docs/judges.md)",
    "panel": "judges: in a settings file, panel: {judges: [sides, nli]}",
    "endpoint": "a model and an address: endpoint:MODEL@URL",
}

HELP = "sides, nli, nli:MODEL, endpoint:MODEL@URL, or the name of an installed judge"


def judge_by_name(spec: str) -> Judge:
    """The judge that a text such as "sides", "nli:PATH" or "endpoint:gpt-4o@https://api.openai.com/v1" names.

    The judge's class is called with the text behind the colon, split at "@".

    Raises:
        PluginError: There is no such judge.
        JudgeError: The judge cannot be made from the text.
    """
    name, _, rest = spec.partition(":")
    made = plugins.load("judges", name)
    arguments = [part for part in rest.partition("@")[::2] if part]
    try:
        judge: Judge = made(*arguments)
    except (TypeError, AttributeError) as err:  # the class was given a text and needs objects, as a panel needs judges
        raise not_made(spec, err) from err
    return judge


def not_made(spec: str, err: Exception) -> JudgeError:
    """The error for a judge whose class was given too little, or texts where it needs objects."""
    if wanted := _WANTED.get(spec.partition(":")[0]):
        return JudgeError(f'judge "{spec}" needs {wanted}.')
    return JudgeError(f'judge "{spec}" cannot be made: {err}. Expected {HELP}.')
