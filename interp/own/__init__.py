"""A person's own prompts to any model: rows and pairs from text, and a verb for each analysis.

`from interp import prompts, probe ...` finds them all; no module here is named as a function is,
since importing it would put the module in the function's place.
"""
