"""What the components do."""
