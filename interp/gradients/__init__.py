"""Inner products of per-example gradients, exact, over all parameters: `gram` is the way in."""
