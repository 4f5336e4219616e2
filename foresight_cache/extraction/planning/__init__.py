"""The cost of an extraction, worked out and measured before it runs."""
