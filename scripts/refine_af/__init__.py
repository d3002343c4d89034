"""REFINE-AF: instruction data from open models, bootstrapped, refined by PPO, and evaluated."""
