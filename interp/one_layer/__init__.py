"""What one layer has learned, read off its weights: blocks, spectrum, a direction of truth."""
