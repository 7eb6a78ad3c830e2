"""What happens inside: hooked models, statistics over runs, figures, reports."""
