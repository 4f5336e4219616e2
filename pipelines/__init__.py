"""The `foresight` command line: entry, progress, tables, options as parameters, ratios of benchmarks, the demo."""
