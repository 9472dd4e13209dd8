"""A whole run in one picture."""
