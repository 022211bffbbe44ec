"""Log-likelihoods of many continuations of many prompts, each shared token computed once."""
