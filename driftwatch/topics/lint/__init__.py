"""What is wrong, or looks wrong, with a topic pack; for `driftwatch packs`."""
