"""What tasks are made of: kinds of answers, and how they are compared with the truth."""
