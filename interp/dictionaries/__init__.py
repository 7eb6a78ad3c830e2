"""Sparse autoencoders: activations as few of many features, and what those features carry."""
