"""The page's words: wording.py as a module of JavaScript, so that page and report say the same of a state."""

import json

from driftwatch.wording import LABEL_MEANINGS, RUN_STATES, STATE_WORDS


def page_words() -> str:
    """driftwatch/service/static/words.js."""
    parts = {
        "RUN_STATES": dict(zip(RUN_STATES, RUN_STATES, strict=True)),
        "VERDICTS": STATE_WORDS,
        "LABELS": LABEL_MEANINGS,
    }
    lines = [
        f"export const {name} = {json.dumps(words, ensure_ascii=False, indent=2)};" for name, words in parts.items()
    ]
    return "// Generated from driftwatch/wording.py by tools/page_words.py.\n\n" + "\n".join(lines) + "\n"
