"""Measures of tokens that train no probe: nearest tokens, spectra, norms, and one regression between two points."""
