"""Judges as the command line names them: a name, and behind a colon what the judge needs."""

from driftwatch import plugins
from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Judge

# What the built-in judges want that a bare name does not give.
_WANTED = {
    "reference": "the model in training: make it in Python (docs/judges.md)",
    "panel": "judges: in a settings file, panel: {judges: [sides, nli]}",
    "endpoint": "a model and an address: endpoint:MODEL@URL",
}

HELP = "sides, nli, nli:MODEL, endpoint:MODEL@URL, or the name of an installed judge"


def judge_by_name(spec: str) -> Judge:
    """The judge that a text such as "sides", "nli:PATH" or "endpoint:gpt-4o@https://api.openai.com/v1" names.

    A judge class is called with what stands behind the colon, cut at "@".

    Raises:
        PluginError: No such judge.
        JudgeError: It cannot be made from what was given.
    """
    name, _, rest = spec.partition(":")
    made = plugins.load("judges", name)
    arguments = [part for part in rest.partition("@")[::2] if part]
    try:
        judge: Judge = made(*arguments)
    except (TypeError, AttributeError) as err:  # a text where it wants an object, as a panel wants judges
        raise not_made(spec, err) from err
    return judge


def not_made(spec: str, err: Exception) -> JudgeError:
    """What to say of a judge whose class was given too little, or texts where it wants objects."""
    if wanted := _WANTED.get(spec.partition(":")[0]):
        return JudgeError(f'judge "{spec}" needs {wanted}.')
    return JudgeError(f'judge "{spec}" cannot be made: {err}. Expected {HELP}.')
