"""What `extraction` is made of, and what tells beforehand how it will go."""
