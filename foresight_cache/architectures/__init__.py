"""What model families share, from the loading of weights to the readouts; `encoders/` has the families themselves."""
