"""The field's networks side by side on public motion maps: python -m benchmarks.leaderboard."""
