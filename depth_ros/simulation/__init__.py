"""A simulated world: what stands in it, how rays meet it, how sensors see it."""
