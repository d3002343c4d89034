"""What completes prompts: a backbone in this process, or a server."""
