"""JUDGE: numpy only."""
