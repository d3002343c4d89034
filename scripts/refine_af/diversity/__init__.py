"""How diverse the instructions are: the verb and noun of each."""
