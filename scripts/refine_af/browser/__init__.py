"""The page to browse the data on: what of it is shown, by column, and in how many bytes."""
