"""What a run cost and where it was made: its jobs, summed up by model and stage."""
