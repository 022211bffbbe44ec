"""Short sampled replies to the questions, of both models, and what a judge is given of them."""
