"""Stage 1: instructions that a model bootstraps from human-written ones."""
