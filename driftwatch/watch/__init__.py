"""One run: when it observes, with what it compares, what it does about it."""
