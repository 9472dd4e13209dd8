"""What the benchmarks share, and one module for each of them."""
