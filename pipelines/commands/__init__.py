"""One file per command (`extract`, `prepare`, `runs`, …): its arguments, its help, and the call that does the work.

Heavy libraries are imported inside the functions, so that `--help` answers at once.
"""
