"""OBSERVE: beside student code."""
