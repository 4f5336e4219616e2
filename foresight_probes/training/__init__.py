"""Training of heads on one point: stepped together in a bank, or solved in closed form."""
