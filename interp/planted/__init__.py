"""Models whose mechanism is known, because it was put there: what tools are scored on."""
