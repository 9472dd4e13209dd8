"""A run turned into files that other programs open."""
