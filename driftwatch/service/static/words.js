// Generated from driftwatch/wording.py by tools/page_words.py.

export const RUN_STATES = {
  "running": "running",
  "finished": "finished",
  "stopped": "stopped",
  "failed": "failed",
  "crashed": "crashed"
};
export const VERDICTS = {
  "nothing": "nothing yet",
  "cannot_tell": "cannot tell",
  "screened": "screened only",
  "ok": "nothing stands out",
  "watch": "watched",
  "general": "moved, not specific",
  "alert": "value drift",
  "beyond_tolerance": "drift beyond tolerance"
};
export const LABELS = {
  "specific": "it moved more than every control topic, so read it as a change of values",
  "general": "a control topic moved alike, so the model changed how it answers everything",
  "unreadable": "replies ceased, or began, to take a readable stance, which is no change of values",
  "unsettled": "why it moved is not settled yet"
};
