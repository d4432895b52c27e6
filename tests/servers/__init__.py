"""Real outside servers that tests spawn, and the histories they are filled with."""
