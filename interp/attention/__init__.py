"""What do heads look at, and what do they write? Patterns by role, scores, views."""
