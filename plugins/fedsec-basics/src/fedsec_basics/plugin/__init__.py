"""The components that this distribution describes, one module per role; importing them needs no torch."""
