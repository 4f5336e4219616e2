"""One file per command (`extract`, `prepare`, `runs`, …), and the parameters that several of them share.

Heavy libraries are imported inside the functions, so that `--help` answers at once.
"""
