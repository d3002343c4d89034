"""The data set for others: its formats, its card, where it comes from."""
