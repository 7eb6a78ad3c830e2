"""The hypotheses that `iml hypothesis` knows by name: a file each, whose `HYPOTHESIS` it is."""
