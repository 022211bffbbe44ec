"""The training process whose guests we are: its model, its ranks, its trainer, and how everything is put back."""
