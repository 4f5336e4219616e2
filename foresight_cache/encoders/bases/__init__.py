"""Base classes that model families derive from: towers, projectors, language models and their prompts."""
