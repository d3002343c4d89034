"""Which texts each instruction of the pool is nearest to."""
