"""Who carries out the cells of a run, a grid or a sweep: one executor a file."""
