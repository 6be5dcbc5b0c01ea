"""Robust aggregation rules for federated learning."""
