"""Shapes that model families derive from: towers, projectors, language models, prompts."""
