"""What runs, keys, rows and images show of themselves in a notebook."""
