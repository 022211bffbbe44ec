"""The shipped demonstration: its model, data and training script. Needs the extra `demo`."""
