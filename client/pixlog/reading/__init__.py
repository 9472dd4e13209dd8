"""A run directory read back: rows, images, verification, recovery."""
