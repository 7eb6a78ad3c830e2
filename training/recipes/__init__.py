"""Every experiment as a function, with what it serves; the only home of hyper-parameter numbers.

A recipe's arguments are what `iml run RECIPE --set NAME=VALUE` can change. The settings of what is
trained from scratch were chosen on seeds below 1000; the figures that this project reports are from
seeds 1000 on. Settings of pretrained models are the paper's (Appendix B).
"""

from training.recipes.text import *
from training.recipes.toys import *
