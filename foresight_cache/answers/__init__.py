"""What a model has answered, and whether it is right."""
