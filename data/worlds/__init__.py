"""Where facts come from: one world per file."""
