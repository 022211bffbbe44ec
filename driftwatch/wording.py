"""Figures, labels and sentences as people read them: each text once, for page, report, alerts and tables alike.

The figure of a verdict is the *net shift*: the share of replies that changed sides, in [−1, 1], positive toward
`poles[0]`. Sentences name the pole instead of a sign.
"""

from typing import Literal, get_args

VerdictState = Literal["nothing", "cannot_tell", "screened", "ok", "watch", "general", "alert", "beyond_tolerance"]
Reason = Literal[
    "not_finite",
    "replies_refused",
    "no_resolution",
    "not_drawn",
    "not_classified",
    "too_few_replies",
    "replies_used_up",
    "not_measured",
]
TopicState = Literal["ok", "ended", "watch", "alert", "beyond_tolerance"]
Label = Literal["specific", "general", "unreadable", "unsettled"]
RunState = Literal["running", "finished", "stopped", "failed", "crashed"]
Now = Literal["holds", "faded", "back", "beyond", "unknown"]  # what the newest replies say about an alert's move
VERDICT_STATES: tuple[VerdictState, ...] = get_args(VerdictState)
REASONS: tuple[Reason, ...] = get_args(Reason)
TOPIC_STATES: tuple[TopicState, ...] = get_args(TopicState)
LABELS: tuple[Label, ...] = get_args(Label)
RUN_STATES: tuple[RunState, ...] = get_args(RunState)

STATE_WORDS: dict[VerdictState, str] = {
    "nothing": "nothing yet",
    "cannot_tell": "cannot tell",
    "screened": "screened only",
    "ok": "nothing stands out",
    "watch": "watched",
    "general": "moved, not specific",
    "alert": "value drift",
    "beyond_tolerance": "drift beyond tolerance",
}
ONLY_SCREENED = (
    "By the screen alone, which has no stated false-alarm rate: it can say that something stands out, never that "
    "nothing moved. For a verdict, let judged replies confirm it (confirm=Confirmation(…))."
)
TO_DO: dict[Reason, str] = {
    "not_finite": "Stop this training and go back to a checkpoint from before that step; an overflow in low precision "
    "or too high a learning rate is the usual cause.",
    "replies_refused": "The screen goes on; a verdict needs replies that are known to be those of this model.",
    "no_resolution": "Another pack, or a larger model, may have resolution.",
    "not_drawn": "Verdicts rest on judged replies; they come with the observations after the first, where the budget "
    "allows them.",
    "not_classified": "Read some of the replies. Cut, garbled or off-topic ones point to the chat template, to the "
    "limit on tokens or to the decoding; well-formed ones to the judge.",
    "too_few_replies": "More replies come with every observation; a larger budget or more draws make it sooner.",
    "replies_used_up": "In the next run more of them can be decoded ahead; here the screen goes on.",
    "not_measured": "The run's notes and failures name the reason.",
}
NO_FIGURE = "–"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
JOINERS = "\u200c\u200d"  # Python does not count them as printable, but Persian, Hindi and others need them
MOST_DIGITS = 6  # evidence beyond a million to one is written as a power of ten


def printable(text: str) -> str:
    r"""Text of a run for a terminal or a log, in which every character that is not printable is written as an escape.

    >>> print(printable("\x1b[31mred\nnext"))
    \x1b[31mred\nnext
    """
    return "".join(c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in text)


def signed(value: float | None, digits: int = 2) -> str:
    """A signed figure with a real minus, or a dash where there is none.

    >>> signed(-0.314), signed(0.0), signed(None)
    ('−0.31', '0.00', '–')
    """
    if value is None:
        return NO_FIGURE
    text = f"{value:+.{digits}f}"
    if float(text) == 0:
        return text[1:]
    return text.replace("-", "−")


def interval(lower: float | None, upper: float | None, digits: int = 2) -> str:
    """Both ends in brackets; empty where there is no interval.

    >>> interval(-0.62, -0.3)
    '[−0.62, −0.30]'
    """
    if lower is None or upper is None:
        return ""
    return f"[{signed(lower, digits)}, {signed(upper, digits)}]"


def percent_spread(lower: float, upper: float) -> str:
    """Smallest and largest share over topics, or a single one where both read the same.

    >>> percent_spread(0.12, 0.3), percent_spread(0.2201, 0.2204)
    ('12 % to 30 %', '22 %')
    """
    ends = (percent(lower), percent(upper))
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def percent(value: float | None, digits: int = 0) -> str:
    """A share as a percentage.

    >>> percent(0.314), percent(None)
    ('31 %', '–')
    """
    return NO_FIGURE if value is None else f"{100 * value:.{digits}f} %"


def percent_interval(lower: float | None, upper: float | None) -> str:
    """Both ends as percentages in brackets; empty where there is no interval.

    >>> percent_interval(-0.02, 0.3)
    '[−2 %, +30 %]'
    """
    if lower is None or upper is None:
        return ""
    return f"[{signed_percent(lower)}, {signed_percent(upper)}]"


def signed_percent(value: float | None) -> str:
    """A share that has a sign, as a percentage.

    >>> signed_percent(-0.291), signed_percent(0.002), signed_percent(None)
    ('−29 %', '0 %', '–')
    """
    return NO_FIGURE if value is None else f"{signed(100 * value, 0)} %"


def net_shift(value: float | None, poles: tuple[str, str], *, ends: tuple[float, float] | None = None) -> str:
    """The figure of a verdict: what share of the replies changed sides, and toward which pole.

    Args:
        value: Net shift in [−1, 1], positive toward the first pole; `None` without recent replies.
        poles: Names of the poles.
        ends: Ends of its 95 % interval, with the same sign convention; they are shown relative to the named pole.

    >>> net_shift(-0.29, ("more open", "more restrictive"), ends=(-0.35, -0.22))
    '29 % of replies, toward “more restrictive” (95 % interval 22 % to 35 %)'
    """
    if value is None:
        return NO_FIGURE
    size = percent(abs(value))
    pole = "" if size == percent(0.0) else f", toward “{poles[0 if value > 0 else 1]}”"
    shown = ""
    if ends is not None:
        lower, upper = ends if value >= 0 else (-ends[1], -ends[0])
        shown = f" (95 % interval {signed_percent(lower).lstrip('+')} to {signed_percent(upper).lstrip('+')})"
    return f"{size} of replies{pole}{shown}"


def moved(
    name: str,
    kind: str,
    *,
    poles: tuple[str, str] | None,
    way: int,
    now: Now,
    value: float | None,
    ends: tuple[float, float] | None = None,
    since: int | None = None,
    most: str | None = None,
) -> str:
    """What an alert is about, in a clause: what moved, since when, whether that still holds, and how far it lies now.

    Args:
        name: Name of the topic.
        kind: "direction", "neutral", or "readability" for whether replies take a stance that can be read.
        poles: Names of the poles; only direction needs them.
        way: The way of the alert, +1 or −1.
        now: What the newest replies say about the move.
        value: The net shift of the newest replies, or for the other kinds the change of a share; `None` without such
            replies.
        ends: Ends of the 95 % interval of `value`.
        since: Step of the onset; `None` if it is not known.
        most: Which replies without a stance changed most; only for readability.

    >>> moved("Parks", "direction", poles=("a", "b"), way=-1, now="holds", value=-0.29, since=9)
    'Parks moved since step 9: net shift 29 % of replies, toward “b”'
    >>> moved("Parks", "direction", poles=("a", "b"), way=-1, now="back", value=0.02)
    'Parks moved toward “b”; the last five observations are back at the baseline: net shift −2 % of replies that way'
    """
    onset = "" if since is None else f" since step {since}"
    lately = f"; {LATELY[now]}" if LATELY[now] else ""
    bounds = f" {percent_interval(*ends)}" if ends is not None else ""
    figure = "" if value is None else f": {signed_percent(value)} of replies{bounds}"
    if kind == "readability":
        subject = f"{name}: replies changed in whether they take a readable stance, most of all {most or 'refusals'}"
        return f"{subject}{onset}{figure}"
    if kind == "neutral":
        return f"{name}: the model takes no side {'more' if way > 0 else 'less'} often{onset}{lately}{figure}"
    assert poles is not None
    subject = f"{name} moved" if now == "holds" else f"{name} moved toward “{poles[0 if way > 0 else 1]}”"
    figure = "" if value is None else f": net shift {net_shift(value, poles, ends=ends)}"
    if now == "back" and value is not None:
        # The newest replies point nowhere, as far as they can tell, so no other pole is named: the sign is relative to
        # the way of the alert.
        along = signed_percent(way * value)
        lower, upper = (sorted(way * end for end in ends)) if ends is not None else (None, None)
        bounds = "" if lower is None else f" (95 % interval {signed_percent(lower)} to {signed_percent(upper)})"
        figure = f": net shift {along} of replies that way{bounds}"
    return f"{subject}{onset}{lately}{figure}"


LATELY: dict[Now, str] = {
    "holds": "",
    "faded": "the last five observations lie the same way, by themselves within chance",
    "back": "the last five observations are back at the baseline",
    "beyond": "the last five observations lie on the other side of the baseline",
    "unknown": "no recent replies say whether it still holds",
}
LABEL_MEANINGS: dict[Label, str] = {
    "specific": "it moved more than every control topic, so read it as a change of values",
    "general": "a control topic moved alike, so the model changed how it answers everything",
    "unreadable": "replies ceased, or began, to take a readable stance, which is no change of values",
    "unsettled": "why it moved is not settled yet",
}


def odds(log10: float | None) -> str:
    """Evidence as odds against chance.

    >>> odds(3.505), odds(0.2), odds(9.3), odds(-0.5)
    ('3,200 : 1', '1.6 : 1', '10⁹ : 1', 'none')
    """
    if log10 is None:
        return NO_FIGURE
    if log10 <= 0:
        return "none"
    if log10 >= MOST_DIGITS:
        return f"10{str(int(log10)).translate(_RAISED)} : 1"
    value = 10**log10
    if value < 10:
        return f"{value:.1f} : 1"
    size = 10 ** max(0, len(str(int(value))) - 2)  # shows two digits, since evidence is not known more exactly
    return f"{round(value / size) * size:,} : 1"


def odds_tick(value: float) -> str:
    """A power of ten on an axis.

    >>> odds_tick(0), odds_tick(4)
    ('1', '10⁴')
    """
    return "1" if value == 0 else f"10{str(round(value)).translate(_RAISED)}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them.

    >>> duration(0.42), duration(75), duration(7300)
    ('0.4 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds is None:
        return NO_FIGURE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def listed(names: list[str], most: int = 3) -> str:
    """Names as part of a sentence.

    >>> listed(["a", "b"]), listed(list("abcde"))
    ('a and b', 'a, b, c and 2 more')
    """
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1] if names else "") if part)
