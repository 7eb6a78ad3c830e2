"""Which part holds what another checkpoint knows? Weights and activations moved over."""
