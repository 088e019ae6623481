def profit(y, p):
    return float(((y == 1) & (p == 1)).sum() * 100 - ((y == 0) & (p == 1)).sum() * 10)
