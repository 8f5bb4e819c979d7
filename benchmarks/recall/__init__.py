"""How many of the turns that hold an answer are found in real conversations. See `__main__`."""
