"""Networks for the classification of images."""
