"""Supervised fine-tuning of a backbone on the instances."""
