"""Which activation carries the answer? Exact and attributed patches; `analysis` has the grid."""
