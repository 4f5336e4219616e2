"""Parts of heads: base classes, last layers, attention, and the alignment of tokens of several points."""
