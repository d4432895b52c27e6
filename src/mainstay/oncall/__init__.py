"""Who is on call, right in every zone, and what the pager costs people.

Declares: people, rotations, schedules of rotations in layers, time off, holidays.
Measures: pages, nights and weekends of each person in their own zone, hours, fairness.
Decides:  who is on call at any moment, where nobody is, what a fair rota looks like.
Records:  overrides, swaps, hand-off notes.
Offers:   who, shifts, override, swap, handoff, gaps, health, propose, export, import.
"""
