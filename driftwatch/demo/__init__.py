"""The shipped demonstration: its model, data and training script. It needs the extra `demo`."""
