"""The `foresight` command line: each command parses its arguments and calls the two libraries."""
