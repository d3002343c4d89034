"""Language models and adapters, as checkpoint folders."""
