"""What readers of raw datasets share: paths, folders of clips, outlines, questions, and things that are drawn."""
