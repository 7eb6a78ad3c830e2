"""One data set a file: from a config and a seed to the rows that are trained and asked."""
