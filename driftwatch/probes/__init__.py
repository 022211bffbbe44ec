"""Probes, the ways to ask a model. Needs the extra `train`."""
