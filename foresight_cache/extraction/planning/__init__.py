"""`foresight plan`: what an extraction will cost, told from a pilot and from trials of batch sizes."""
