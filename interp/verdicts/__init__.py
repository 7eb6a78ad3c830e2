"""What any verdict rests on: the rule, its margins, and quantities, a value for each seed."""
