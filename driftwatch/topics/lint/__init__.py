"""Checks of what is wrong, or looks wrong, with a topic pack; `driftwatch packs` shows them."""
