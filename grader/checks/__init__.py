"""JUDGE: what of a student's work is right, and which misconception is behind what is not. Trusted, numpy only."""
