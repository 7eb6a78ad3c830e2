"""The commands of `iml` that look inside runs."""
