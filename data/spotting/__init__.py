"""A face through a long video, and what it does there, frame by frame."""
