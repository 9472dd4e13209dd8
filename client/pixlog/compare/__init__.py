"""Images of two runs, or of two keys, measured against each other."""
