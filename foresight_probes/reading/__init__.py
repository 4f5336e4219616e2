"""What `features` is made of: sources, order, memory and scale of the features of a point."""
