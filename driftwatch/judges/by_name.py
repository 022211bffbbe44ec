"""Judges as the command line names them: a name, and behind a colon what the judge needs."""

from driftwatch import plugins
from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Judge

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
        raise JudgeError(f'judge "{spec}" cannot be made: {err}. Expected {HELP}.') from err
    return judge
