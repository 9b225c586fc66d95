"""Public weights: what there is, on which terms, how it is fetched, checked and loaded."""
