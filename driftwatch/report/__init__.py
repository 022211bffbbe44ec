"""What a run found, for people: verdict, curves, items that moved, and the file to send to a colleague."""
