"""Controls, which a probe's number must be compared with: answers that use no feature of the input."""
