"""An analysis over many checkpoints: what is chosen, measured, merged and summed up over seeds."""
