"""One run: when it observes, what it compares with, and what it does about an alert."""
