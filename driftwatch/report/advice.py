"""What to do when values moved: measures in the order in which to try them, each with its caution.

driftwatch recommends and does not act. We know of no study that compares these measures on stance drift. What we say
about their effects comes from work on neighbouring problems, so every change deserves a new run, watched like this one.
"""

from dataclasses import dataclass

from driftwatch.record.record import Record, RunInfo
from driftwatch.report.verdict import Verdict
from driftwatch.wording import TO_DO


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do, with what to beware of; `beware` is "" where there is nothing."""

    do: str
    beware: str = ""


def advice(info: RunInfo, last: Record | None, verdict: Verdict) -> list[Advice]:
    """The measures that this run's verdict suggests, in the order in which to try them.

    Args:
        info: The run.
        last: Its last observation that measured something; `None` before one.
        verdict: The verdict on that observation.
    """
    if last is None or verdict.state == "nothing":
        return [Advice("Find out why nothing was measured: the run's notes and failures name the reason.")]
    if verdict.state == "cannot_tell":
        return [
            Advice(TO_DO[verdict.reason] if verdict.reason else "Find out why: the run's notes and failures say more."),
            Advice("Do not read this as quiet: what was not measured may have moved."),
        ]
    if verdict.state == "screened":
        return [
            Advice(
                "Let judged replies confirm it (confirm=Confirmation(…)) if this run is to be relied on.",
                "The screen states no false-alarm rate, and no smallest drift that it would have found.",
            )
        ]
    if verdict.state in ("alert", "beyond_tolerance"):
        return _value_drift(info, last, verdict)
    if verdict.state == "general":
        return [
            Advice(
                "Look at the style channels and at the controls first: the model changed how it answers everything.",
                "Do not read this as a change of one value; do not ignore it either, if the change is not wanted.",
            ),
            Advice(
                "Read some replies of the last observations: shorter, hedging, refusing or rambling answers show "
                "at once."
            ),
            Advice("Check the preference data for answers whose form differs between chosen and rejected."),
        ]
    if verdict.state == "watch":
        screened = not any(row.num_draws for row in last.evidence)
        first = (
            "Let judged replies confirm it: the screen alone states no false-alarm rate."
            if screened
            else "Wait: a watched topic is asked more often, and an alert follows if the move is real."
        )
        return [Advice(first), Advice("Keep the checkpoints of these observations, in case the alert comes.")]
    return [
        Advice(
            "Nothing to do.",
            "No alert is no certificate: see the smallest drift that could have been found, and the topics that were "
            "not asked.",
        )
    ]


def _value_drift(info: RunInfo, last: Record, verdict: Verdict) -> list[Advice]:
    figures = verdict.figures
    onset = "the onset" if figures is None or figures.onset_step is None else f"step {figures.onset_step}"
    dpo = "DPO" in (info.trainer or "").upper()
    return [
        Advice(
            "Decide whether the move is wanted. If it is, record that, and make a new baseline of the new model.",
        ),
        Advice(
            "Find the pairs that teach it: the preference data on this topic whose chosen and rejected answers take "
            "different sides. The items that moved most, below, say what to search for.",
            "A value can also enter through the reward model while the texts seem neutral.",
        ),
        Advice(
            f"Go back to the last checkpoint before {onset}; it costs nothing but the steps since.",
            "The onset is an estimate; take one checkpoint more if you have it.",
        ),
        Advice(
            "Mix about 5 % of the SFT data on values into the training.",
            "Random data can hurt coherence in volume; an SFT loss on the chosen answers pulls toward their stance, so "
            "it makes things worse where these are shifted.",
        ),
        Advice(
            "Double beta." if dpo else "Hold the policy closer to the reference: double the KL coefficient (beta).",
            "It slows what you train for as well. In TRL a larger beta is closer to the reference; synchronising the "
            "reference model with the policy works against you here.",
        ),
        Advice("Drop or relabel the pairs with a large gap in stance between chosen and rejected."),
        Advice(
            "With LoRA: scale the adapter down (0.25 to 1) at the end and ask again; this traces how much of the drift "
            "each part of the gain costs.",
        ),
        Advice(
            "Show that it worked: driftwatch gate tests that a candidate lies within a tolerance of the SFT model; a "
            "run without an alert does not show that.",
        ),
    ]
