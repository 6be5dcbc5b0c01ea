"""What the descriptions build: the components that take part in a federation."""
