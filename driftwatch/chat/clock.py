"""The clock that chat templates see: it stands still, since a prompt that changes at midnight is another prompt.

Llama 3.2, gpt-oss, Granite, SmolLM3 and Mistral Small write today's date into every conversation. With a real clock,
yesterday's baseline could not be compared with today's run, and a run would be asked something else after midnight.
"""

from collections.abc import Callable
from datetime import date, datetime

# The day that Llama 3.1's own template falls back to, so its trainings have seen this day more often than any other.
FROZEN = datetime(2024, 7, 26, 12, 0, 0)  # noqa: DTZ001 - templates are shown a moment without a zone
OTHER = datetime(2031, 11, 5, 21, 30, 30)  # noqa: DTZ001 - the same; tells whether a template asks for the time at all
_FORMATS = (
    "%Y-%m-%d",
    "%d %b %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%d.%m.%Y",
)


def standing_still(at: datetime) -> Callable[[str], str]:
    """The function that templates call `strftime_now`, always at the same moment.

    >>> standing_still(FROZEN)("%d %b %Y")
    '26 Jul 2024'
    """
    return at.strftime


def written_in(text: str, day: date) -> str | None:
    """The day as the text writes it, in one of the usual formats; `None` if the text does not hold it.

    >>> written_in("Today Date: 26 Jul 2024", FROZEN), written_in("No date.", FROZEN)
    ('26 Jul 2024', None)
    """
    ways = [day.strftime(form) for form in _FORMATS]
    ways += [way.replace(day.strftime("%d"), str(day.day), 1) for way in ways[1:5]]
    return next((way for way in ways if way in text), None)
