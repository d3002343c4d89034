"""What a run will cost, before it runs: from shapes of models, rates of machines and guesses."""
