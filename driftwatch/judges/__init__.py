"""Judges, which classify replies. Every judge is frozen for the life of a run."""
