"""The page of a run in training, and the monitoring service over many runs."""
