"""Turns questions into the tokens that training would give them: chat templates, turns, tokenizers."""
