"""Base classes of model families: towers, projectors, language models, prompts, pruning of what no tap needs."""
