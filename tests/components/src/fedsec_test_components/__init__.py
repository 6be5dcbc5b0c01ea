"""Components and fixtures that only tests need."""
