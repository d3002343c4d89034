"""Zero-shot evaluation on Super-NaturalInstructions."""
