"""Probes that are fitted quickly."""

from interp.probes.analysis import ProbeAnalysis

QUICK = ProbeAnalysis(quick=True, n_permutations=19)
FIXED_C = (1e-2,)
