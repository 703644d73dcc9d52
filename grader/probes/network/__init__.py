"""Handling a student's network: its layers, its scores, its gradients."""
