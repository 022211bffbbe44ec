"""One script a claim. Each prints what it does, and one JSON line, last on standard output.

They need the demonstration model (`driftwatch.host.smollm2`); see docs/performance.md for what each measures.
"""
