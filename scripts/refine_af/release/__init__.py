"""The data of all models as one data set: its rows, what is counted of them, its card."""
