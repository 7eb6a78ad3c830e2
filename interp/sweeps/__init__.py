"""Many runs that differ in settings: plans, folders, and their joined tables."""
