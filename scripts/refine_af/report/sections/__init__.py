"""The sections of the page: a file each, named as the section's id there."""
