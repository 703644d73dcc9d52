"""OBSERVE: functions that call student code and return plain numbers and arrays; one file for each file of checks.

They run in the worker, beside student code, so nothing here knows points, hints or expected answers.
"""
