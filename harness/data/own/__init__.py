"""Data of a user's own: the reader of files and folders with labels, and the tasks made of them."""
