"""Readers of the original data formats: from paths to arrays, lists and iterators. They know formats, not tasks.

What is missing, damaged or made to do harm is refused with a `UserError`; nothing in a data file is ever executed,
and nothing is written but what `archives.extract` unpacks. Iterators raise when they come to the fault, not before.
"""
