"""What the messages of Python and PyTorch mean in this week: one table, first match first."""

from __future__ import annotations

from grader.engine.contract import Slip

# What PyTorch says to a class, a function or a layer where it wanted what calling it gives
UNCALLED = (
    r"make_transform\(\) takes 0 positional|is not a Module subclass|must be Tensor, not "
    r"(?:type|function|method|builtin_function_or_method|[A-Z]\w*(?:LU|oid|anh|Dropout\w*|max|Flatten|Linear|Conv2d))\b"
)

SLIPS = (
    Slip(UNCALLED, "made-but-not-called", only_theirs=True),
    Slip("CUDA|NVIDIA", "needs-cuda"),
    Slip("cuda", "needs-cuda", types=("RuntimeError", "AssertionError")),
)
