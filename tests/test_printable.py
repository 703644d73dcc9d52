"""What student code printed, as a report shows it."""

from __future__ import annotations

import pytest

from grader.engine.printable import clean, own_prints


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("epoch 1\nepoch 2\n", "epoch 1\nepoch 2\n"),
        (" 10%|#   | 3/30\r 50%|##  | 15/30\r100%|####| 30/30 [00:01<00:00]\ndone\n", "done\n"),
        ("working\rready\n", "ready\n"),
        (
            "/usr/lib/python3/site-packages/torch/x.py:12: UserWarning: lr_scheduler.step() before it\n"
            "  warnings.warn(\nloss 2.3\n",
            "loss 2.3\n",
        ),
        ("C:\\lib\\torch\\x.py:3: FutureWarning: soon\nmine\n", "mine\n"),
        (
            "  indented of mine\n100 % right\n50% of it | or so\n",
            "  indented of mine\n100 % right\n50% of it | or so\n",
        ),
        ("\x1b[31mred\x1b[0m\r\nline\n", "red\nline\n"),
    ],
)
def test_progress_bars_and_warnings_of_libraries_are_not_the_students(printed, shown):
    assert own_prints(printed) == shown


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("/tmp/grader-run-x1/stage/train.py:34\n", "train.py:34\n"),
        ('File "/var/tmp/grader-run-x1/stage/data.py", line 3\n', 'File "data.py", line 3\n'),
        ("saved (C:\\T\\grader-run-x1\\home\\12\\plots\\a.png)\n", "saved (plots\\a.png)\n"),
        ("I am in /tmp/grader-run-x1/home/3\n", "I am in .\n"),
        ("/tmp/grader-run-of-others/stage and /tmp/mine\n", "/tmp/grader-run-of-others/stage and /tmp/mine\n"),
    ],
)
def test_the_temporary_folder_of_a_run_is_nothing_to_see(printed, shown):
    assert own_prints(printed, "grader-run-x1") == shown


def test_what_covers_other_lines_or_shows_nothing_is_taken_out():
    tower, blank = "e" + "\u0301\u0323" * 40, "\u3164\u2800\u115f"
    assert clean(f"{tower} {blank}x") == "e\u0301\u0323\u0301 x"
    assert (
        clean("e\u0301te\u0301 \u0939\u093f\u0928\u094d\u0926\u0940")
        == "e\u0301te\u0301 \u0939\u093f\u0928\u094d\u0926\u0940"
    )
