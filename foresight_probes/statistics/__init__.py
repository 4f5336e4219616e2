"""Statistics of scores and groups: how sure a number is."""
