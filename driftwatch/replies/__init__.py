"""Short sampled replies of both models to the questions, and how a judge is given them."""
