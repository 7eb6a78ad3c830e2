"""What the prompts of these tests are made of."""

WORDS = [f"w{i}" for i in range(37)]
TEXTS = ["w0 w1 w2", "w3 w4 w5 w6", "w7 w8 w9"]
ANSWERS = ["w10", "w11", "w12 w13"]
