"""The user-oriented instructions, answered by every model."""
