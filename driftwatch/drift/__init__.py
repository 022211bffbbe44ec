"""What changed, and how sure we can be of it: pure functions on stances and draws (numpy only)."""
