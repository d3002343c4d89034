"""Similarity, the official scores, and what their differences are worth."""
