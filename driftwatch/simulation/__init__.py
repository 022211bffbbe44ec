"""The proof of the stated false-alarm rate: many trainings at once, watched by the production code (numpy only)."""
