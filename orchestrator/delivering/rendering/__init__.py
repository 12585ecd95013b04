"""Delivering: from an image of the store to the bytes of a file: pixels, what stands on it, marking, signature."""
