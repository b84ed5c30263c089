"""What runs cost: files beside the results that say what was estimated."""
