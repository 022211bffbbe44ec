"""How a model is asked. Needs the extra `train`."""
