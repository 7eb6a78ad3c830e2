"""Twin runs with exchanged tags: the gap, alias by alias."""
