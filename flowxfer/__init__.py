"""Expression transfer with Glow."""
