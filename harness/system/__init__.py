"""The machine that runs are executed on, and the code that executes them."""
