"""Runs: one folder per experiment, one sub-folder per federation, all written as it comes."""
