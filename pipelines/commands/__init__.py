"""One file per command: its arguments, its help, and the call of the library that does the work.

Heavy libraries are imported inside the functions, so that `--help` answers at once.
"""
