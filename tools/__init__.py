"""What makes files that are committed, each run once."""
