"""Ways to split the training samples between the clients."""
