"""Parts that heads are built from and no heads themselves: base classes, output layers, attention, alignment."""
