"""Losses and metrics, and their weights of samples and time steps."""
