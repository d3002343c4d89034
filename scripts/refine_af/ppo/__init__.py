"""Stage 2: PPO of the instance generator from automated feedback."""
