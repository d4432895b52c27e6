"""One file per outer thing. Foreign errors are translated here, once."""
