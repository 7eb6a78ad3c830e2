"""The paper's claims, checked by rule against the tables of runs."""
