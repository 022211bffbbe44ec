"""The training process in which driftwatch is a guest: its model, ranks and trainer, and how all of it is put back."""
