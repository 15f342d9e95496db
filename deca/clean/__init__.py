"""Glasses, hair and hands off: what is not the face is found, and filled from what is."""
