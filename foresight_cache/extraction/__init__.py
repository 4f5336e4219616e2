"""`foresight extract`: shards through the frozen model into a cache, with the room that it takes."""
