"""Pages of one file: they load nothing, and run nothing but their own script."""
