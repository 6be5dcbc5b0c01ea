"""MedMNIST data sets for fedsec, from local files or downloaded when asked to."""
