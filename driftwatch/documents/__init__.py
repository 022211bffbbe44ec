"""YAML and JSON whose values know the line on which they stand."""
