"""Detectors of hallucinated answers: the published protocol, an honest one, and what the question's category tells."""
