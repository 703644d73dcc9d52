"""A whole class. Teacher only: no student's copy has this folder."""
