"""Pixel rules in plain numpy: how axes are read, how values become 8-bit samples, under both contracts."""
