"""How heads come to their weights: stepped together in a bank, or solved in closed form."""
