"""Feedback at the speed of saving: what `python -m grader watch` is made of."""
