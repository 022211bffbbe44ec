"""How records leave the training process."""
