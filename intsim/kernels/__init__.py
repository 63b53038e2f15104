"""The hot loops several operators share, and how rows are spread over threads."""
