"""Sources of digits, and the datasets that are made from digits."""
