"""Backdoor attacks on federated image classifiers, and their measurement."""
