"""From an alert to the right person, through any crash, to a post-mortem that is done."""
