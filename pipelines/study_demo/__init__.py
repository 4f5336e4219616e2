"""`foresight study NAME --demo`: drawn data in the place of a study's own, a tiny model, and cheaper runs."""
