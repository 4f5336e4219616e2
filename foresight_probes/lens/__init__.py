"""What visual tokens are closest to among words: in contexts, in the vocabulary, and at the model's own output."""
