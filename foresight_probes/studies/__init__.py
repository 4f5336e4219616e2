"""Studies: what is to be decided and by which criteria, what was found, and the verdict with how sure it is."""
