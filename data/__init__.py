"""Data on disk: index tables, frames, landmarks, sampling, transforms, the demo set.

Knows files and tables, never networks.
"""
