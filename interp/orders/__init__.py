"""What comes first in training? Curves over checkpoints, and tests of their order."""
