"""What adapters are made of: streams of tokens that are brought to the cells of a latent, places, gates."""
