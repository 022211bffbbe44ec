"""What a run found, written for people: verdict, curves, items that moved, and a file to send to a colleague."""
