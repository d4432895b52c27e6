"""Who is on call: rotations that are right in every zone, and what the pager costs people."""
