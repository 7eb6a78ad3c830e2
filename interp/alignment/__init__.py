"""Do definitions' gradients align with their questions', and does it matter? Nulls, tests."""
