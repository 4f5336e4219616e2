"""Steps from the modules of a running model to tokens in raster order: hooks, orders, readouts."""
