"""Commands of the house: what belongs to no single word."""
