"""The demo set: synthetic corpora in the official layouts."""
