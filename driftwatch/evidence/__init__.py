"""How sure a drift is: anytime-valid tests on the draws of a run, with states, labels and alerts (numpy only)."""
