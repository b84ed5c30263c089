"""The work of commands whose imports take seconds; what a person types, and its help, is harness/NAME.py."""
