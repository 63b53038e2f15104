"""The compiled loops that several operators share, and how rows are distributed over threads."""
