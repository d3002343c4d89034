"""Pages in which no text is markup: HTML of one file that loads nothing, and Markdown."""
