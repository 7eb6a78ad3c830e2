"""What is taken away, cut, steered or erased, and what the answers lose."""
