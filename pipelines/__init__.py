"""The `foresight` command line: entry, completion, output, progress bars, tables, options as parameters, the demo."""
