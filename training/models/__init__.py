"""Where models come from, what they can read, and how their folders are opened."""
