"""What scores an instance, and Eq. 1."""
