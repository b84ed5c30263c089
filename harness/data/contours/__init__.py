"""How the images of Pathfinder are made: its parameters and shapes, and the contours that grow in them."""
