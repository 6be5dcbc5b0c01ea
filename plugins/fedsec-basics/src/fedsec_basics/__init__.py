"""The plain components of a federation: data, models, splits, training, the mean, classification."""
