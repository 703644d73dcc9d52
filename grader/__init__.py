"""Everything that grades the assignment. README.md in this folder is the map."""


def load_ipython_extension(shell: object) -> None:
    """`%load_ext grader` in a notebook: from then on `%grade` grades what its cells have run."""
    from grader.contract import WEEK
    from grader.engine.front.notebook import register

    register(shell, WEEK)
