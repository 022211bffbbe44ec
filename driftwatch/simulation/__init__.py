"""The proof of the stated false-alarm rate: many simulated trainings, watched by the production code (numpy only)."""
