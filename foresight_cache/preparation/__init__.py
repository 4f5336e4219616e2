"""`foresight prepare`: a raw dataset chosen, checked, packed and resumed, up to a folder of shards."""
