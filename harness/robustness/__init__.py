"""Trained networks under corruptions that they were not trained with."""
