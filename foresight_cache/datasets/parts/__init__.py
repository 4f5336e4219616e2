"""What readers and generators share: safe paths, files of clips, outlines, questions, trajectories, digits."""
