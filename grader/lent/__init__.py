"""LENT: working parts of the grader's own, sent to a child as text when its probe needs them.

Nothing here is ever imported, and no child can read this folder: what lies on the path of student code would be an
answer that somebody can hand in.
"""
