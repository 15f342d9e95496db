"""A card's check and speed in one command: python -m benchmarks.gpu."""
