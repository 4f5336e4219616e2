"""Work on a Ray cluster: a driver that gives out pieces to actors, each of which holds what is dear to make."""
