"""Losses and metrics, and the weights of samples and time steps in them."""
