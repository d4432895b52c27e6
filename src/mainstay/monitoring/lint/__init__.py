"""What is wrong with rules, alerts and metric pages, where it stands, and what to write instead."""
