"""How sure it is: anytime-valid tests on the draws of a run, their states, labels and alerts (numpy only)."""
