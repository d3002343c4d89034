"""Stage 3: input and output for every instruction of the pool."""
