"""Running residual graphs with NumPy."""
