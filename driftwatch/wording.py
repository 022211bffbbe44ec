"""Figures as people read them."""

NO_FIGURE = "–"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
JOINERS = "\u200c\u200d"  # not printable by Python's notion, and needed by Persian, Hindi and others
MOST_DIGITS = 6  # evidence beyond a million to one is written as a power of ten


def printable(text: str) -> str:
    r"""Text of a run for a terminal or a log: what is no printable character is written out, so that it does nothing.

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


def spread(ends: tuple[float, float], digits: int = 2) -> str:
    """Smallest and largest over topics, or one figure where they read the same.

    >>> spread((0.12, 0.3)), spread((0.2201, 0.2204))
    ('0.12 to 0.30', '0.22')
    """
    lower, upper = (f"{end:.{digits}f}" for end in ends)
    return lower if lower == upper else f"{lower} to {upper}"


def percent(value: float | None, digits: int = 0) -> str:
    """A share as a percentage.

    >>> percent(0.314), percent(None)
    ('31 %', '–')
    """
    return NO_FIGURE if value is None else f"{100 * value:.{digits}f} %"


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
    size = 10 ** max(0, len(str(int(value))) - 2)  # two digits: evidence is not known more exactly
    return f"{round(value / size) * size:,} : 1"


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
    """Names as a sentence part.

    >>> listed(["a", "b"]), listed(list("abcde"))
    ('a and b', 'a, b, c and 2 more')
    """
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1] if names else "") if part)
