"""A straight line through points."""


def predict(x, slope, intercept):
    """Return the heights of a line, one for each point.

    x: numpy array of shape (n,). slope, intercept: numbers. Returns an array of shape (n,).
    """
    # BEGIN SOLUTION
    return slope * x + intercept
    # END SOLUTION


def fit(x, y):
    """Return (slope, intercept) of the line with the least squared error.

    x, y: numpy arrays of shape (n,), at least two different values in x.
    """
    # BEGIN SOLUTION
    away = x - x.mean()
    slope = (away * (y - y.mean())).sum() / (away**2).sum()
    return slope, y.mean() - slope * x.mean()
    # END SOLUTION
