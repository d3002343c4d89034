"""Blind ratings by people: the page, and what comes back."""
