"""What the shape of the project promises, held by tests."""
