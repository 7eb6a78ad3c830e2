"""Which components together carry an answer, and is that so beside chance? Circuits of units."""
