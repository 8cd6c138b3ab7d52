"""Speed of the zoo and of alternatives, measured in alternation."""
