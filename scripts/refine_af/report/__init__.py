"""The report: one page on what a run made."""
