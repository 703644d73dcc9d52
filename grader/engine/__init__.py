"""The engine: grades any week whose contract it is given. It knows no file, part or TODO of a student's."""

VERSION = "0.2.0"
