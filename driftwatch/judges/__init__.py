"""Who reads a reply. Every judge is frozen for the life of a run."""
