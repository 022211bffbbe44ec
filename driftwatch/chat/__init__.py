"""What is asked, in the tokens that training would give it: chat templates, turns, tokenizers."""
