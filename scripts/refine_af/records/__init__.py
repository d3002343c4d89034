"""The rows that stages hand on."""
