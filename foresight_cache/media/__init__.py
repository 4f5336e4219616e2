"""Images and clips: from encoded bytes to pixels."""
