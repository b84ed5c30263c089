"""Times of whole networks: a training step and an inference of each variant, alone on the machine."""
