"""What scenarios name: frozen descriptions that import neither torch nor numpy."""
