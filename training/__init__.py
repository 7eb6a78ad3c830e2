"""How the model came to be: configs, recipes, the training loop, the run folder."""
