"""Data sets for others: formats, Markdown of cards, where the data come from."""
