"""Many gradings at once: one store, one way to run them."""
