"""One self-contained page about a run, and what figures and sentences are made of."""
