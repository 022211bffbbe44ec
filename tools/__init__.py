"""Tools that make generated pages and files; only a checkout needs them, and they are not in the wheel."""
