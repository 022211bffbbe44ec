"""What a checkout needs and no user does: generated pages and files. Not in the wheel."""
