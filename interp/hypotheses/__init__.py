"""Hypotheses about why a gap is there, each with predictions written before the data were read."""
