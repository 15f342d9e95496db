"""Clips, frames and pictures as they lie on disk."""
