"""Is a property linearly readable, where, and what could chance read? `analysis` has the grid."""
