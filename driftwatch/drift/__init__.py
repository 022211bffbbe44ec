"""What changed, and how sure that is: pure functions on stances and draws (numpy only)."""
