"""What every figure, table and sentence is made of: colours, words, marks. Knows no analysis."""
