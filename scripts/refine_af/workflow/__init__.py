"""What the Snakefile asks: the checked experiment, and which file is whose."""
