"""What an extraction will take, told before it runs."""
