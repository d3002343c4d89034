"""Prompt files, and how a reply is read."""
