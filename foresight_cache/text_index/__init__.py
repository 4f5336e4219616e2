"""What words are to a frozen language model in their contexts: hidden states of phrases, kept with their tokens."""
