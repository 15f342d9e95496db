"""What spotting finds in a video, for people: report.html and the overlay video."""
