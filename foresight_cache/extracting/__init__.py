"""What `extraction` is made of: inputs, recording, guards, and room on the disk."""
