"""The apex of a clip."""
