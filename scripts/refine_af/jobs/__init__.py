"""How a command runs: its flags, its progress, and where it goes on after a kill."""
