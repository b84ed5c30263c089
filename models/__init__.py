"""Spiking state space models: neurons, their operators, S4D and the networks built from them."""
