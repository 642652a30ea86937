"""Data sets of one's own: folders of crops, and tables."""
