"""Digits: where they come from, and the datasets that are drawn from them."""
