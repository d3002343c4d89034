"""What instances share with the evaluation sets."""
