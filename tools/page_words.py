"""Makes the page's words from wording.py, as a JavaScript module, so that page and report use the same words."""

import json

from driftwatch.wording import LABEL_MEANINGS, RUN_STATES, STATE_WORDS


def page_words() -> str:
    """The text of driftwatch/service/static/words.js."""
    parts = {
        "RUN_STATES": dict(zip(RUN_STATES, RUN_STATES, strict=True)),
        "VERDICTS": STATE_WORDS,
        "LABELS": LABEL_MEANINGS,
    }
    lines = [
        f"export const {name} = {json.dumps(words, ensure_ascii=False, indent=2)};" for name, words in parts.items()
    ]
    return "// Generated from driftwatch/wording.py by tools/page_words.py.\n\n" + "\n".join(lines) + "\n"
