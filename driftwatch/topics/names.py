"""Names made of any text: short, in ASCII, and never the same for two texts."""

import hashlib
import re
import unicodedata

_DIGEST = 6  # hexadecimal characters; in one of 3,000 packs of a hundred texts two texts share them


def normal(text: str) -> str:
    """A text in the form in which texts are compared: composed (NFC), with outer white space stripped."""
    return unicodedata.normalize("NFC", text).strip()


def ascii_letters(text: str) -> str:
    """The part of a text that can be written in ASCII, without accents."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def is_lossy(text: str) -> bool:
    """Whether a text has letters or digits that ASCII cannot express.

    >>> is_lossy("Café society"), is_lossy("公园")
    (False, True)
    """
    return any(character.isalnum() and not ascii_letters(character) for character in normal(text))


def digest(text: str) -> str:
    """A few characters of a hash, which tell a text from others."""
    return hashlib.sha256(normal(text).encode()).hexdigest()[:_DIGEST]


def slug(text: str) -> str:
    """A short name made of a title: small letters, digits and underscores.

    >>> slug("Gender & LGBTQ+ Identity")
    'gender_lgbtq_identity'
    """
    return re.sub(r"[^a-z0-9]+", "_", ascii_letters(text).lower()).strip("_")[:48].strip("_")


def slugs(texts: list[str]) -> dict[str, str]:
    """A name for each of several titles, with a digest where letters are lost or two titles would share a name.

    A title that already is such a name keeps it.

    >>> slugs(["Parks", "C++", "C#"])["Parks"]
    'parks'
    """
    different = list(dict.fromkeys(map(normal, texts)))
    plain = {text: slug(text) for text in different}
    shared = {name for name in plain.values() if list(plain.values()).count(name) > 1}
    found = {}
    for text, name in plain.items():
        marked = is_lossy(text) or not name or (name in shared and name != text)
        found[text] = "_".join(filter(None, (name[: 47 - _DIGEST].strip("_"), digest(text)))) if marked else name
    return found


def run_name(text: str) -> str:
    """Any text made usable as a folder and a label: at most 120 letters, digits, dots, dashes and underscores.

    >>> run_name("dpo / first try"), run_name("été")
    ('dpo---first-try', 'ete')
    """
    composed = normal(text)
    plain = "".join(ascii_letters(c) if c.isalnum() else c for c in composed)
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in plain).lstrip("._-")
    if is_lossy(composed) or not kept:
        return "-".join(filter(None, (kept[: 119 - _DIGEST].strip("-"), digest(composed))))
    return kept[:120]
