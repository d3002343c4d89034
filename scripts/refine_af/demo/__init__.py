"""The embedded demo's world: a corpus, and tiny models trained on it."""
