"""What to do when things break: read by people, run by Mainstay, and measured."""
